"""Going on with words by a model: greedily, one after the other."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from lessonpipe.errors import UserError
from lessonpipe.nets.io import load_weights, read_model_json
from lessons.numbers.build import build
from lessons.numbers.data import as_ids
from lessons.numbers.learn import predicts_once
from lessons.numbers.words import COMMA, START, WORDS, spell

LONGEST = 8  # words of a number, and a comma


def load(folder: Path) -> nn.Module:
    """The network of a model folder. Raises `UserError` when it holds none of numbers."""
    about = read_model_json(folder)
    if about["kind"] != "numbers":
        raise UserError(f"{folder} holds a {about['kind']}, but a model of numbers is needed here")
    try:
        net = build(**about["build"])
    except TypeError as error:
        raise UserError(f"{folder} cannot be built: {error}") from error
    return load_weights(folder, net)


def count_on(prompt: str, model: Path, *, numbers: int = 5, at_most: int | None = None) -> str:
    """The text that a model folder continues `prompt` with, such as "two hundred ninety".

    Raises `MissingError` when the folder holds no model, `UserError` for an unknown word.
    """
    words = prompt.lower().replace(",", " , ").replace("-", " ").split()
    as_ids(words)  # before the model is loaded
    continued = generate(load(model), words, numbers=numbers, at_most=at_most)
    return " ".join(continued).replace(" ,", ",")


@torch.no_grad()
def generate(
    net: nn.Module, words: list[str], *, numbers: int = 5, at_most: int | None = None
) -> list[str]:
    """The likeliest next words, until so many `numbers` are whole, or `at_most` words.

    A prompt without a comma at its end is taken for a whole number, and one without a comma before
    it gets one: the place behind a comma is what a network looks up. Raises `UserError` for words
    that are not of numbers.
    """
    if not words:
        raise UserError('give some words to go on from, such as "two hundred ninety"')
    words = words if words[0] in (COMMA, START) else [COMMA, *words]
    words = words if words[-1] == COMMA else [*words, COMMA]
    if predicts_once(net):
        raise UserError("this model predicts one word of three; it cannot count on")
    net.eval()  # forgets what was read before
    x = as_ids(words)[None]
    said: list[str] = []
    limit = LONGEST * numbers if at_most is None else at_most
    while len(said) < limit:
        x = net(x)[:, -1].argmax(1, keepdim=True)
        said.append(WORDS[int(x)])
        if at_most is None and said.count(COMMA) == numbers:
            return said[:-1]
    return said


@torch.no_grad()
def next_number_accuracy(net: nn.Module, numbers: Iterable[int]) -> float:
    """The share of numbers that are followed by the right one, word for word and comma."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for number in numbers:
        by_length[len(spell(number))].append(number)
    rights: list[bool] = []
    for some in by_length.values():
        net.eval()
        x = torch.stack([as_ids([COMMA, *spell(number), COMMA]) for number in some])
        predicted = []
        for _ in range(LONGEST):
            x = net(x)[:, -1].argmax(1, keepdim=True)
            predicted.append(x)
        rows = torch.cat(predicted, 1).tolist()
        targets = [as_ids([*spell(number + 1), COMMA]).tolist() for number in some]
        rights += [row[: len(y)] == y for row, y in zip(rows, targets, strict=True)]
    return sum(rights) / len(rights)
