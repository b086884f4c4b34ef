"""Every crappy picture through the generator: data/crappify -> data/save_preds, the same names.

python -m tasks save_preds
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from pydantic import Field

from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pairs import Pairs, in_order
from lessonpipe.data.pictures import save_png, to_picture
from lessonpipe.files import whole_folder
from lessonpipe.nets.folder import load_generator
from lessonpipe.nets.generator import fold_weight_norm
from lessonpipe.progress import bar
from lessonpipe.settings import Strict
from lessonpipe.train.place import Place, Precision


class Params(Strict):
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
    place = Place.here(p.precision)
    net = place.ready(fold_weight_norm(load_generator(model)))
    manifest = Manifest.read(pairs)
    with whole_folder(out) as draft, ThreadPoolExecutor() as pool:
        for side in ("train", "valid"):
            data = Pairs(pairs, side, p.image_px)
            names = iter(manifest.side(side))
            steps = -(-len(data) // p.batch)
            for x, _, _ in bar(in_order(data, p.batch), f"save_preds {side}", total=steps):
                with place.autocast():
                    made = net(place.put(x))
                paths = [draft / f"{next(names).name}.png" for _ in range(len(x))]
                list(pool.map(save_png, [to_picture(m) for m in made], paths))
    print(f"{len(manifest.pairs)} pictures at {p.image_px} px in {out}")
