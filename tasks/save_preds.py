"""Every crappy picture through the generator: data/crappify -> data/save_preds, the same names.

python -m tasks save_preds
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pairs import Pairs, eval_batches
from lessonpipe.data.pictures import save_png, to_picture
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_folder
from lessonpipe.io.progress import progress_bar
from lessonpipe.nets.generator import fold_weight_norm
from lessonpipe.nets.io import load_generator


class Params(StrictModel):
    """At which size, how many at once."""

    precision: Precision
    image_px: int = Field(ge=32, multiple_of=32)
    batch: int = Field(ge=1)


@torch.no_grad()
def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    model: Path = Path("models/pretrain_generator"),
    out: Path = Path("data/save_preds"),
) -> None:
    """Write a PNG a pair, so that the critic finds no JPEG to tell them by."""
    worker = Worker.current(p.precision)
    net = worker.to_device(fold_weight_norm(load_generator(model)))
    manifest = Manifest.read(pairs)
    with atomic_folder(out, fsync=True) as draft, ThreadPoolExecutor() as pool:
        for split in ("train", "valid"):
            data = Pairs(pairs, split, p.image_px)
            names = iter(manifest.split(split))
            steps = -(-len(data) // p.batch)
            for x, _, _ in progress_bar(
                eval_batches(data, p.batch, worker), f"save_preds {split}", total=steps
            ):
                with worker.autocast():
                    made = net(worker.batch_to_device(x))
                paths = [draft / f"{next(names).name}.png" for _ in range(len(x))]
                list(pool.map(save_png, [to_picture(m) for m in made], paths))
    print(f"{len(manifest.pairs)} pictures at {p.image_px} px in {out}")
