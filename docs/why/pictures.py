"""Draw the pictures of docs/why and print what they measure: `python -m docs.why.pictures`.

By models of the package, on photos that none of them was trained on (scikit-image's and
scikit-learn's, the extra `peers`), and one of the sample for a clock. A minute on two cores.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import lessonpipe
from lessonpipe.app.recipes import named_recipe
from lessonpipe.data.pairs import center_square
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import grid
from tasks.download import sample_photos
from tests.bench.another_hand import crops, damaged, small

FOLDER = Path("docs/why")
SIDE = 190  # of a picture in a grid
UNSEEN = ("crease (unseen)", "ink (unseen)")  # of `old-photo`: validation's alone
CLOCK = 13  # the sample photo with one


def main() -> None:
    """Draw them all."""
    _crappify()
    _progressive_resize()
    _writing()
    _other_damage()
    _detail()
    _colours()


def _crappify() -> None:
    """The recipe's damage and another program's on the same crops, and `old-photo`'s answers."""
    recipe, rows = named_recipe("old-photo"), []
    for name, number in (("rocket", 1), ("temple", 0), ("flower", 1)):
        photo = _crop(name, number)
        own = recipe.degrade(photo, f"{name}/{number}", without=UNSEEN)
        other = damaged(name, number, photo).damaged
        rows.append([own, _restored(own), other, _restored(other), photo])
    titles = ["the recipe's damage", "restored", "another program's", "restored", "photo"]
    _save("crappify", rows, titles)


def _progressive_resize() -> None:
    """`lesson` at the two sizes of its training and at twice the larger; text removed at each."""
    recipe, sizes, row = named_recipe("lesson"), (128, 256, 512), []
    removed: dict[int, list[float]] = {px: [] for px in sizes}
    for name, number, photo in crops(2):
        written, plain = (
            recipe.degrade(photo, f"{name}/{number}", without=without)
            for without in ((), ("text",))
        )
        for px in sizes:
            inputs = [_enlarged(p, px) for p in (written, plain)]
            outputs = [_restored(p, "lesson") for p in inputs]
            removed[px].append(_removed(inputs, outputs))
            if (name, number) == ("flower", 0):
                row += [inputs[0], outputs[0]]
    for px, values in removed.items():
        print(f"lesson at {px}: text removed {np.mean(values):.2f} of {len(values)} crops")
    _save("progressive-resize", [row], [t for px in sizes for t in (f"at {px}", "restored")])


def _writing() -> None:
    """What `lesson` makes of writing that belongs there, in sharp and in worn photos."""
    cat, clock = _crop("cat", 0), center_square(open_photo(sample_photos()[CLOCK]), 256)
    captioned = cat.copy()
    font = ImageFont.load_default(26)
    ImageDraw.Draw(captioned).text((20, 30), "Mia, 1987", fill=(255, 255, 255), font=font)
    rows = []
    for sharp in (captioned, clock):
        worn = _worn(sharp)
        rows.append([sharp, _restored(sharp, "lesson"), worn, _restored(worn, "lesson")])
    for kind, inputs in (("sharp", [captioned, cat]), ("worn", [_worn(captioned), _worn(cat)])):
        outputs = [_restored(p, "lesson") for p in inputs]
        print(f"caption in a {kind} photo: removed {_removed(inputs, outputs):.2f}")
    _save("writing", rows, ["sharp", "restored", "shrunk, compressed", "restored"])


def _other_damage() -> None:
    """Scratches and stains, which the recipe of `lesson` lacks."""
    rows = []
    for name, number in (("cat", 0), ("coffee", 0)):
        photo = _crop(name, number)
        spoilt = damaged(name, number, photo).damaged
        rows.append([spoilt, _restored(spoilt, "lesson"), _restored(spoilt), photo])
    removed = []
    for name, number, photo in crops():
        found = damaged(name, number, photo)
        inputs = [found.damaged, found.without_local]
        removed.append(_removed(inputs, [_restored(p, "lesson") for p in inputs]))
    print(f"lesson, of another program's damage: removed {np.mean(removed):.2f}")
    _save("other-damage", rows, ["damaged", "by lesson", "by old-photo", "photo"])


def _detail() -> None:
    """Four times larger from 64 pixels a side."""
    rows = []
    for name in ("cat", "flower"):
        photo = _crop(name, 0)
        little = small(photo, f"{name}/0", worn=False)
        enlarged = lessonpipe.restore(little, "enlarge", scale=4)
        rows.append([_enlarged(little, 64, Image.Resampling.NEAREST), enlarged, photo])
    _save("detail", rows, ["64 pixels a side", "by enlarge", "photo"])


def _colours() -> None:
    """Four rows of what `python -m flows recipes` draws for `colour`: grey, coloured, photo."""
    sheet = Image.open("docs/recipes/colour.jpg")
    step = (sheet.width - 442) / 4  # of its columns at 128 pixels, drawn smaller than those at 256
    rows = []
    for row in range(1, 5):
        top = 24 + round(row * step)
        lefts = [5 + round(column * step) for column in (0, 1, 3)]
        rows.append([sheet.crop((left, top, left + 109, top + 109)) for left in lefts])
    _save("colours", rows, ["grey", "coloured", "photo"])


def _crop(name: str, number: int) -> Image.Image:
    """A crop of 256 pixels of a photo that no model here was trained on."""
    return next(crop for photo, n, crop in crops() if (photo, n) == (name, number))


def _restored(picture: Image.Image, model: str = "old-photo") -> Image.Image:
    return lessonpipe.restore(picture, model)


def _enlarged(
    picture: Image.Image, px: int, how: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    return picture.resize((px, px), how)


def _worn(picture: Image.Image) -> Image.Image:
    """Shrunk to 96 pixels a side, compressed, and enlarged to 256 again."""
    buffer = io.BytesIO()
    _enlarged(picture, 96, Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=40)
    return _enlarged(Image.open(buffer).convert("RGB"), 256)


def _removed(inputs: Iterable[Image.Image], outputs: Iterable[Image.Image]) -> float:
    """1 − the squared difference between two answers over that between their two inputs."""
    before, after = (
        np.square(np.subtract(*(np.asarray(p, float) for p in pair))).sum()
        for pair in (inputs, outputs)
    )
    return float(1 - after / before)


def _save(name: str, rows: list[list[Image.Image]], titles: list[str]) -> None:
    shown = [[p.resize((SIDE, SIDE), Image.Resampling.LANCZOS) for p in row] for row in rows]
    grid(shown, titles).save(FOLDER / f"{name}.jpg", quality=82)


if __name__ == "__main__":
    main()
