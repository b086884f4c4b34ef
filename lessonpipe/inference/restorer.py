"""Restoring pictures of any kind and size with the generator of a model folder."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lessonpipe.data.photos import MAX_PIXELS
from lessonpipe.device import Precision, Worker
from lessonpipe.errors import UserError
from lessonpipe.inference.memory import free_memory, parse_size, resident_memory
from lessonpipe.inference.pixels import GREY_WEIGHTS, Pixels, bleed_colors
from lessonpipe.inference.tiles import Tiling, Window, restore_tiled
from lessonpipe.inference.tone import keep_tones
from lessonpipe.nets.blocks import SelfAttention
from lessonpipe.nets.generator import fold_weight_norm
from lessonpipe.nets.io import load_generator, read_model_json
from lessonpipe.nets.unet import pad_to_grid
from lessonpipe.zoo import find_model

FREE_SHARE = 0.42  # of the free memory, for activations; libraries and files need the rest
LIVE_SHARE = 0.2  # of all activations of a network that are in memory at a time; 0.14 was measured
MAX_SIDE = 4096  # tiles of more are no faster
BAND_BYTES = 2 * 3 * 4  # of a pixel in a row of tiles and in a tile that is put into it: floats
QUANTIZED_ROWS = 64  # at a time, whose temporary arrays are then small
Progress = Callable[[float], None]  # called with the share of a picture that is done, 0...1


class Restorer:
    """The generator of `model`, on this machine's device, for any number of pictures.

    That is a model folder, or the name of one of the package's models, such as "old-photo".

    `strength` blends the result with the enlarged original: 0 is that, 1 the network's. `tone` is
    how much of the change of tones and colours is kept: at 0 a picture is repaired and looks as
    faded as it was. `memory`, bytes or text such as "2GB", bounds what this process takes on the
    CPU; by default what is free. Raises `MissingError` when the folder holds no model, `UserError`
    when it is damaged, and for a strength or tone outside of 0...1.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        strength: float = 1.0,
        tone: float = 1.0,
        memory: int | str | None = None,
        precision: Precision = "auto",
    ) -> None:
        for name, share in (("strength", strength), ("tone", tone)):
            if not 0 <= share <= 1:
                raise UserError(f"a {name} is a number from 0 to 1, not {share}")
        self.strength, self.tone = strength, tone
        self.memory = parse_size(memory) if isinstance(memory, str) else memory
        self.worker = Worker.current(precision)
        folder = find_model(model)
        net = load_generator(folder)
        self.about = read_model_json(folder)
        self.grid = net.grid
        self.tile_px: int | None = None  # tiles are at most so large, for steady progress
        self.jobs = 1  # pictures that are restored at the same time, which share the memory
        self.colours = adds_colours(self.about)
        self.exact_tiles = not any(isinstance(part, SelfAttention) for part in net.modules())
        self.net = self.worker.to_device(fold_weight_norm(net)).requires_grad_(False)
        self._bytes_per_pixel: float | None = None

    def __call__(
        self,
        image: Any,
        *,
        scale: float = 1.0,
        size: tuple[int, int] | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Restore a picture: its size times `scale`, or `size` (width, height) in pixels.

        Takes and gives back a Pillow picture, a NumPy array or a tensor; of a path it gives a
        Pillow picture. Grey stays grey, transparency stays, 16-bit grey keeps its bits; Pillow's
        other modes become RGB. EXIF orientation is applied. Raises `UserError` for a size below 1
        or of more than `MAX_PIXELS`, and when the memory is too small for any tile.
        """
        from lessonpipe.inference.kinds import restore_any

        restore = partial(self.restore_pixels, scale=scale, size=size, progress=progress)
        return restore_any(image, restore)

    def restore_file(self, path: str | Path, out: str | Path, **options: Any) -> list[str]:
        """Restore a file into the file `out` as the command does; returns notes for the person.

        `options` are those of `RestoreOptions`. Raises `PictureError` for what is no picture.
        """
        from lessonpipe.inference.batch import RestoreOptions, restore_file

        return restore_file(self, Path(path), Path(out), RestoreOptions(**options))

    def restore_pixels(
        self,
        pixels: Pixels,
        *,
        scale: float = 1.0,
        size: tuple[int, int] | None = None,
        progress: Progress | None = None,
    ) -> Pixels:
        """Restore samples, enlarged first (bicubic) as crappy pictures are in training.

        Grey is restored as a grey RGB picture, and is the luma of the result: no tint. Alpha is
        enlarged alone. Raises what calling the restorer raises.
        """
        target = size or _scaled(pixels.size, scale)
        if min(target) < 1 or target[0] * target[1] > MAX_PIXELS:
            raise UserError(
                f"a picture cannot become {target[0]}x{target[1]} pixels; give it at least 1 a "
                f"side and at most {MAX_PIXELS // 1_000_000} million"
            )
        if self._padded(*target) > 1.25 * MAX_PIXELS:
            raise UserError(
                f"{target[0]}x{target[1]} pixels are too long a line: with margins they are "
                f"{self._padded(*target) // 1_000_000} million; cut the picture"
            )
        enlarged = bleed_colors(pixels).resize(target)
        if self.strength == 0:
            return enlarged
        color = enlarged.color
        channels = 3 if self.colours else color.shape[2]
        restored = np.empty((*color.shape[:2], channels), color.dtype)
        top = 0
        for band in self._bands(color):
            for first in range(0, len(band), QUANTIZED_ROWS):
                rows = band[first : first + QUANTIZED_ROWS]
                original = color[top : top + len(rows)]
                restored[top : top + len(rows)] = self._quantized(rows, original)
                top += len(rows)
            if progress:
                progress(top / len(restored))
        if self.tone < 1 and not self.colours:
            keep_tones(restored, color, self.tone)
        return Pixels(restored, enlarged.alpha)

    @torch.inference_mode()
    def run(self, x: Tensor, *, exact: bool = False) -> Tensor:
        """Restore a batch of any size, `B 3 H W` in 0...1, at once; not clamped.

        It is padded to the grid for the network; `exact` computes in float32 whatever the device.
        Raises `torch.OutOfMemoryError`, or `RuntimeError` on a CPU, for more than fits.
        """
        height, width = x.shape[-2:]
        x = self.worker.batch_to_device(pad_to_grid(x, self.grid))
        if exact:
            restored: Tensor = self.net(x)
        else:
            with self.worker.autocast():
                restored = self.net(x)
        return restored[..., :height, :width].float()

    def _quantized(self, rows: np.ndarray, original: np.ndarray) -> np.ndarray:
        """Blend by the strength, and round to the type of the samples: `rows W C`."""
        top = np.iinfo(original.dtype).max
        values = (rows * top).clip(0, top)
        if self.strength < 1:
            values = self.strength * values + (1 - self.strength) * original
        return values.round().astype(original.dtype)

    def _bands(self, color: np.ndarray) -> Any:
        """The result row of tiles by row of tiles; smaller tiles when memory runs out after all."""
        height, width = color.shape[:2]
        side = self._tile_side(height, width)
        done = 0
        while True:
            tiling = Tiling(side, self.grid)
            try:
                skip = done
                restore = partial(self._restore_window, color)
                for rows in restore_tiled(height, width, restore, tiling):
                    if skip >= len(rows):
                        skip -= len(rows)
                        continue
                    yield rows[skip:]
                    done += len(rows) - skip
                    skip = 0
                return
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                if side // 2 < tiling.minimum:
                    raise UserError(
                        f"{width}x{height} pixels do not fit in the memory of "
                        f"{self.worker.device}, not even in tiles; close other programs, use "
                        "LESSONPIPE_DEVICE=cpu, or a smaller --scale"
                    ) from error
                side = side // 2 // self.grid * self.grid
                if self.worker.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _restore_window(self, color: np.ndarray, window: Window) -> np.ndarray:
        """A window of `H W C` samples, restored: floats of 0...1.

        Where it ends with the picture its last pixels are repeated: convolutions pad with zeros,
        which draws a border into flat colours, and mirrored ends cost `old-photo` 6 dB of
        undamaged crops.
        """
        ends = zip(window, color.shape[:2], strict=True)
        padding = [
            (self.grid * (s.start == 0), self.grid * (s.stop == length)) for s, length in ends
        ]
        tile = np.pad(color[window], (*padding, (0, 0)), mode="edge")
        (top, bottom), (left, right) = padding
        restored = self._restore_tile(tile)
        return restored[top : len(restored) - bottom, left : restored.shape[1] - right]

    def _restore_tile(self, tile: np.ndarray) -> np.ndarray:
        """`H W C` samples to `H W C` floats of 0...1."""
        top = float(np.iinfo(tile.dtype).max)
        x = torch.from_numpy(
            np.ascontiguousarray(np.moveaxis(tile, -1, 0)).astype(np.float32) / top
        )
        y = self.run(x.expand(3, -1, -1)[None], exact=tile.dtype == np.uint16)[0]
        values = np.moveaxis(y.cpu().numpy(), 0, -1)
        if tile.shape[2] == 1 and not self.colours:
            return (values @ GREY_WEIGHTS)[..., None]
        return values

    def is_tiled(self, size: tuple[int, int]) -> bool:
        """Whether a result of `size` (width, height) has to be made in tiles now."""
        return self._tile_side(size[1], size[0]) < max(size)

    def _tile_side(self, height: int, width: int) -> int:
        """The side of the tiles: all of the picture if it fits in the memory, else what does."""
        budget, each = self._budget(3 * height * width), self.bytes_per_pixel
        most = self.tile_px or max(height, width)
        if self._padded(height, width) * each + height * width * BAND_BYTES <= budget:
            return most
        # side ** 2 * each + side * width * BAND_BYTES = budget
        half = width * BAND_BYTES / (2 * each)
        side = int(math.sqrt(half**2 + budget / each) - half) // self.grid * self.grid
        return min(most, MAX_SIDE, max(side, Tiling(0, self.grid).minimum + 2 * self.grid))

    def _padded(self, height: int, width: int) -> int:
        """The pixels that the network works on: a line of one pixel is three grids wide."""
        sides = (-(-(side + 2 * self.grid) // self.grid) * self.grid for side in (height, width))
        return math.prod(sides)

    def _budget(self, result: int) -> float:
        """Bytes for activations and tiles, beside a `result` of so many."""
        if self.worker.device.type == "cuda":
            return FREE_SHARE * torch.cuda.mem_get_info(self.worker.device)[0] / self.jobs
        free = free_memory()
        if self.memory is not None:
            free = min(free, max(0, self.memory - resident_memory()))
        return FREE_SHARE * max(0, free / self.jobs - result)

    @property
    def bytes_per_pixel(self) -> float:
        """About how much memory a pixel takes while the network runs, by its layers' outputs."""
        if self._bytes_per_pixel is None:
            total = 0

            def add(_module: nn.Module, _inputs: Any, output: Any) -> None:
                nonlocal total
                total += output.numel() * 4 if isinstance(output, Tensor) else 0

            leaves = [part for part in self.net.modules() if not list(part.children())]
            hooks = [leaf.register_forward_hook(add) for leaf in leaves]
            side = 4 * self.grid
            try:
                self.run(torch.zeros(1, 3, side, side))
            finally:
                for hook in hooks:
                    hook.remove()
            self._bytes_per_pixel = LIVE_SHARE * total / side**2
        return self._bytes_per_pixel


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    if not math.isfinite(scale):
        raise UserError(f"a picture cannot be enlarged {scale} times")
    return round(size[0] * scale), round(size[1] * scale)


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "memory" in str(error).lower()


def adds_colours(about: dict[str, Any]) -> bool:
    """Whether a model gives grey pictures colours: its recipe took them away, or its target may."""
    recipe = about.get("recipe") or []
    takes = any("grey" in (step if isinstance(step, dict) else [step]) for step in recipe)
    return takes or bool(about.get("target"))


def target_of(about: dict[str, Any]) -> str:
    """The steps that a model learnt to make of photos, by name; "" for one that restores them."""
    steps = about.get("target") or []
    return ", ".join(step if isinstance(step, str) else next(iter(step), "") for step in steps)
