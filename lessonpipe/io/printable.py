"""Text of strangers, such as names of files, as a terminal or a log may show it."""

import unicodedata

SPELT = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, marks of direction, surrogates, line separators
JOINERS = "\u200c\u200d"  # of letters in some scripts and of parts of emoji: names have them


def printable(text: object) -> str:
    r"""A text as one line, with `\n`, `\x1b`, `\u202e`, `\udce9` and the like spelt out."""
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in SPELT and letter not in JOINERS
        else letter
        for letter in str(text)
    )


def printable_lines(text: str) -> str:
    """A text of lines of ours with each of them printable."""
    return "\n".join(map(printable, text.split("\n")))
