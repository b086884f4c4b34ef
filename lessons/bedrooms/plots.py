"""Plots of bedrooms: sheets of samples, the film of their training, the critic's estimate."""

import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from lessonpipe.data.pictures import grid, to_picture
from lessonpipe.report.curves import as_svg, pyplot
from lessonpipe.train.fit import History


def sheet(pictures: Tensor, columns: int = 8) -> Image.Image:
    """Returns pictures `N 3 H W`, bytes, edge to edge in full rows."""
    rows = [torch.cat(list(row), 2) for row in pictures.split(columns) if len(row) == columns]
    return to_picture(torch.cat(rows, 1) / 255)


def batch(x: Tensor, y: Tensor) -> Image.Image:
    """Returns the photos `B 3 H W`, bytes, of a batch; its noise `B Z` is told."""
    columns = min(8, len(y))
    title = f"{len(y)} photos, and as many times {x.shape[1]} numbers of noise"
    return grid([[sheet(y, columns)]], [title])


def side_by_side(generated: Image.Image, photos: Image.Image) -> Image.Image:
    """Returns two sheets of one size as one titled picture."""
    return grid([[generated, photos]], ["made of noise", "photos"])


def film(
    frames: Sequence[Image.Image], *, most: int = 33, frame_ms: int = 250, last_ms: int = 3000
) -> bytes:
    """Returns an animated WebP of the frames' upper halves that loops for ever.

    Of more than `most` frames it has `most`, evenly spaced, the first and the last among them.
    """
    count = min(most, len(frames))
    chosen = [frames[i * (len(frames) - 1) // max(1, count - 1)] for i in range(count)]
    halves = [frame.crop((0, 0, frame.width, frame.height // 2)) for frame in chosen]
    buffer = io.BytesIO()
    halves[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=halves[1:],
        duration=[frame_ms] * (count - 1) + [last_ms],
        loop=0,
        quality=60,
    )
    return buffer.getvalue()


def trend(history: History) -> str:
    """Returns a phrase: whether the critic's estimate on training photos shrinks, and its ends."""
    first, last = (-row["train_critic_loss"] for row in (history[0], history[-1]))
    verb = "shrinks" if last < first else "does not shrink"
    return f"it {verb}: {first:.3g} in the first epoch, {last:.3g} in the last"


def estimates(history: History) -> str:
    """Returns an SVG of the critic's estimate of the distance from samples to photos, by epoch."""
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
