"""Data of the notebooks' shapes that needs no fetching."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lessonpipe.data.manifest import Manifest
from lessons.bedrooms import data as bedrooms
from lessons.digits import data as digits
from lessons.numbers import data as numbers
from lessons.streets.data import save_labels
from lessons.streets.scenes import scene
from tasks import crappify
from tasks.download import sample_photos
from tasks.pipeline.params import load_stage
from tests.gpu_check.check import Check, Result

PETS = (round(7390 * 0.9), round(7390 * 0.1))
COUNTS = {  # of the notebooks' data: to learn from, to measure by; 0: what is here is all of it
    **dict.fromkeys(
        ("pretrain_generator", "pretrain_critic", "fit_gan", "fit_pixel", "fit_feature"), PETS
    ),
    "digits": (60_000, 10_000),
    "streets": (367, 101),
    "bedrooms": (
        round(303_125 * 0.98),
        round(303_125 * 0.02),
    ),  # the fifth of LSUN's that is fetched
    "numbers": (0, 0),
}
PET_PX = (500, 375)


def make_data(params: dict[str, Any], stages: list[str], check: Check) -> Result:
    """What the stages read, in `data/` of this folder; `params` are the whole ones."""
    made = []
    if "pretrain_generator" in stages:
        made.append(f"{_pairs(8 if check.tiny else 40)} pairs of sample photos")
    if "digits" in stages:
        made.append(f"{_digits(16 if check.tiny else 4096)} random digits")
    if "streets" in stages:
        made.append(f"{_streets(4 if check.tiny else 24, check.tiny)} scenes")
    if "bedrooms" in stages:
        px = params["bedrooms_data"]["px"]
        made.append(f"{_bedrooms(16 if check.tiny else 2048, px)} random pictures of {px} px")
    if "numbers" in stages:
        numbers.save(numbers.made(params["numbers_data"]["train_until"]), Path("data/numbers"))
        made.append("the numbers")
    return Result(", ".join(made))


def _pairs(count: int) -> int:
    """Sample photos of the pets' size, through the profile's recipe; a quarter for validation."""
    p, pairs, out = load_stage(crappify, "crappify"), [], Path("data/crappify")
    photos = sample_photos()
    for i in range(count):
        photo = Image.open(photos[i % len(photos)])
        photo.draft("RGB", PET_PX)
        buffer = io.BytesIO()
        photo.convert("RGB").resize(PET_PX).save(buffer, "JPEG", quality=90)
        split = "valid" if i % 4 == 3 else "train"
        made = crappify.Job(f"{i}.jpg", buffer.getvalue(), split, p)()
        for name, content in made.files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
        pairs += made.pairs
    Manifest(p.recipe, p.quality, p.seed, pairs).write(out)
    return len(pairs)


def _digits(count: int) -> int:
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (count, 28, 28), generator=rng).to(torch.uint8)
    y = torch.arange(count) % 10
    valid = {"valid_x": x[: count // 2].clone(), "valid_y": y[: count // 2].clone()}
    digits.save({"train_x": x, "train_y": y, **valid}, Path("data/digits"))
    return count


def _streets(count: int, tiny: bool) -> int:
    for side in ("train", "valid"):
        for number in range(count // 2):
            if tiny:
                labels = np.full((64, 96), number, np.uint8)
                picture = np.repeat(labels[..., None], 3, 2) * 60
            else:
                picture, labels = scene(ord(side[0]), number)
            photo = Path(f"data/streets/{side}/{number}.png")
            truth = Path(f"data/streets/{side}_labels/{number}.png")
            for path in (photo, truth):
                path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(photo)
            truth.write_bytes(save_labels(labels))
    return count


def _bedrooms(count: int, px: int) -> int:
    rng = torch.Generator().manual_seed(0)
    rooms = torch.randint(0, 256, (count, 3, px, px), generator=rng).to(torch.uint8)
    bedrooms.save({"train": rooms, "valid": rooms[: count // 2].clone()}, Path("data/bedrooms"))
    return count
