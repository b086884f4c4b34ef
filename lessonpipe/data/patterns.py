"""Regular expressions and globs that people write: found as Python finds them, in bounded time."""

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from lessonpipe.errors import UserError

LIMIT = 1.0  # seconds of the processor that one search in one name may take


def finder(pattern: str) -> Callable[[str], tuple[str, ...] | None]:
    """A search for a regular expression of `re`: what it and its groups match in a text, or None.

    Groups that take no part are "". Raises `UserError` for what is no such expression, and so does
    the search where it takes longer than `LIMIT`, as that for `(a|aa)+$` does in a long name.
    """
    import regex  # whose searches can be given up, as those of `re` cannot

    try:
        re.compile(pattern)
        compiled = regex.compile(pattern, regex.VERSION0)
    except (re.error, regex.error, RecursionError) as error:
        raise UserError(f"{pattern!r} is no regular expression: {error}") from error

    def find(text: str) -> tuple[str, ...] | None:
        try:
            match = compiled.search(text, timeout=LIMIT)
        except TimeoutError as error:
            raise UserError(
                f"the regular expression {pattern!r} has not ended after {LIMIT:g} s in the name "
                f"{text!r}; write it without a repetition of what repeats, such as (a+)+"
            ) from error
        return match and (match.group(), *match.groups(default=""))

    return find


def matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path fit those of a glob; `**` stands for any number of folders."""
    last = len(pattern)
    folders = {place for place in range(last) if pattern[place] == "**"}

    def with_none_for(places: set[int]) -> set[int]:
        """With the places behind each `**` that stands for no folder."""
        for place in range(last):
            if place in folders and place in places:
                places.add(place + 1)
        return places

    places = with_none_for({0})  # in the pattern, all at once: no more steps than the path's parts
    for part in path:
        go = {p + 1 for p in places - folders if p < last and fnmatch(part, pattern[p])}
        places = with_none_for(places & folders | go)
    return last in places
