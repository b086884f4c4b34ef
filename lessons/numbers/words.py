"""The corpus of Human numbers, made exactly: `xxbos one , two , three , ...`."""

from collections.abc import Iterable

# fmt: off
DIGITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = [
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SPECIAL = ["xxunk", "xxpad", "xxbos", "xxfld", "xxmaj", "xxup", "xxrep", "xxwrep"]  # fastai's
# fmt: on
BELOW_TWENTY = [*DIGITS, *TEENS]
START, COMMA = "xxbos", ","
WORDS = [*SPECIAL, COMMA, "hundred", "thousand", *DIGITS, *TENS, *TEENS]
IDS = {word: number for number, word in enumerate(WORDS)}
LARGEST = 9999
KINDS = (
    "thousands",
    '"thousand"',
    "hundreds",
    '"hundred"',
    "tens",
    "ten to nineteen",
    "units",
    "comma",
    "start",
)


def spell(number: int) -> list[str]:
    """The words of a number from 1 to 9999, without "and" or hyphens."""
    assert 0 < number <= LARGEST, number
    words: list[str] = []
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            words += [BELOW_TWENTY[number // size - 1], name]
            number %= size
    if number >= 20:
        words.append(TENS[number // 10 - 2])
        number %= 10
    return [*words, BELOW_TWENTY[number - 1]] if number else words


def text(numbers: Iterable[int]) -> list[str]:
    """The words of numbers one after the other, with a sign at the start and commas between."""
    words = [START]
    for number in numbers:
        words += [*spell(number), COMMA]
    return words[:-1]


def kinds(words: list[str]) -> list[str]:
    """What each word does in its number: "thousands" and "hundreds" are what is counted by them."""
    following = [*words[1:], COMMA]
    return [_kind(word, after) for word, after in zip(words, following, strict=True)]


def _kind(word: str, after: str) -> str:
    if word in (COMMA, START):
        return "comma" if word == COMMA else "start"
    if word in ("thousand", "hundred"):
        return f'"{word}"'
    if after in ("thousand", "hundred"):
        return f"{after}s"
    return "tens" if word in TENS else "units" if word in DIGITS else "ten to nineteen"
