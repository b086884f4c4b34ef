"""Between tensors and pictures, and pictures side by side."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as `3 H W` bytes."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def to_picture(x: Tensor) -> Image.Image:
    """`3 H W` in 0...1, clamped, as an RGB picture."""
    values = (x.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy()))


def as_jpeg(picture: Image.Image) -> bytes:
    """A picture as a JPEG file that shows fine detail."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def save_png(picture: Image.Image, path: Path) -> None:
    """Save quickly, making the folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "PNG", compress_level=1)


def grid(
    rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], *, gap: int = 6
) -> Image.Image:
    """Pictures of one size in rows, with a title over each column."""
    width, height = rows[0][0].size
    head = 22
    sheet = Image.new(
        "RGB",
        (len(titles) * (width + gap) + gap, len(rows) * (height + gap) + gap + head),
        (250, 250, 248),
    )
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for column, title in enumerate(titles):
        x = gap + column * (width + gap)
        pen.text((x + width / 2, head / 2 + 3), title, fill=(40, 40, 40), font=font, anchor="mm")
        for row, pictures in enumerate(rows):
            sheet.paste(pictures[column], (x, head + gap + row * (height + gap)))
    return sheet


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of any sizes, one below the other."""
    sheet = Image.new(
        "RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), (250, 250, 248)
    )
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
