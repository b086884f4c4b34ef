"""What there is to see of bedrooms: sheets of samples, how they came to be, the critic's word."""

import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from lessonpipe.data.pictures import grid, to_picture
from lessonpipe.report.curves import as_svg, pyplot
from lessonpipe.train.fit import History


def sheet(pictures: Tensor, columns: int = 8) -> Image.Image:
    """Pictures `N 3 H W`, bytes, edge to edge in rows."""
    rows = [torch.cat(list(row), 2) for row in pictures.split(columns) if len(row) == columns]
    return to_picture(torch.cat(rows, 1) / 255)


def beside(made: Image.Image, photos: Image.Image) -> Image.Image:
    """Two sheets of one size."""
    return grid([[made, photos]], ["made of noise", "photos"])


def film(
    frames: Sequence[Image.Image], *, most: int = 33, each: int = 250, last: int = 3000
) -> bytes:
    """An animated WebP of the frames' upper halves that runs for ever.

    Of more than `most` frames so many are shown, first and last among them; `each` frame's
    milliseconds, and the `last` one's.
    """
    count = min(most, len(frames))
    shown = [frames[i * (len(frames) - 1) // max(1, count - 1)] for i in range(count)]
    halves = [frame.crop((0, 0, frame.width, frame.height // 2)) for frame in shown]
    buffer = io.BytesIO()
    halves[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=halves[1:],
        duration=[each] * (count - 1) + [last],
        loop=0,
        quality=60,
    )
    return buffer.getvalue()


def course(history: History) -> str:
    """In words, what becomes of the critic's estimate on the photos it learns from."""
    first, last = (-row["train_critic_loss"] for row in (history[0], history[-1]))
    way = "shrinks" if last < first else "does not shrink"
    return f"it {way}: {first:.3g} in the first epoch, {last:.3g} in the last"


def estimates(history: History) -> str:
    """An SVG of what the critic makes of the distance between photos and fakes, by epoch."""
    figure, panel = pyplot().subplots(figsize=(5, 3))
    epochs = [row["epoch"] for row in history]
    for name, values in {
        "photos it learns from": [-row["train_critic_loss"] for row in history],
        "photos it never saw": [row["valid_estimate"] for row in history],
    }.items():
        panel.plot(epochs, values, marker=".", label=name)
    panel.set_xlabel("epoch")
    panel.set_ylabel("the critic's estimate")
    panel.axhline(0, color="grey", linewidth=0.5)
    panel.set_yscale("symlog", linthresh=1)  # the first epoch's is far above all others
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False)
    return as_svg(figure)
