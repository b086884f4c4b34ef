"""Putting a trained restorer into the package's model zoo, with its card.

The weights are halved to 16 bits, and what is measured and shown is the network that they make.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save

from lessonpipe.crappify.recipe import Steps
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pictures import as_jpeg
from lessonpipe.errors import UserError
from lessonpipe.io.atomic import atomic_folder, atomic_write, write_json
from lessonpipe.nets.io import read_model_json
from lessonpipe.report.evaluation import EvaluationParams, evaluate_folders
from lessonpipe.report.summary import summary_table
from lessonpipe.zoo import ZOO

MODEL, PAIRS = Path("models/fit_pixel"), Path("data/crappify")
LICENCE = "Apache-2.0"  # of the package and of all in its zoo; a card says what went in
MAX_BYTES = 11_000_000  # of weights, since a package carries them
HEADINGS = ("## What it does not", "## Photos and licences")  # that a card's head must have
MEASURES = ("psnr_gain", "damage_removed", "unseen_removed", "text_removed", "clean_psnr")


def release(
    name: str,
    about: Path,
    recipe: Steps,
    p: EvaluationParams,
    model: Path = MODEL,
    pairs: Path = PAIRS,
    zoo: Path = ZOO,
) -> None:
    """Write `model` into the folder `zoo` as `name`: weights, model.json, README.md, examples.jpg.

    `about` is the file of what a person says of it, the head of its card: a title, a summary of one
    paragraph, and the sections `HEADINGS`. Raises `UserError` when that is not there or lacks one,
    for a model that was not trained on `recipe`, and for weights that are too large; `MissingError`
    without a model or validation pairs.
    """
    head, summary = _head(about)
    config = read_model_json(model)
    if config.get("recipe") != recipe:
        raise UserError(
            f"{model} was trained on another recipe; `make release MODEL={name}` trains"
        )
    image_px = config["about"]["image_px"]
    with atomic_folder(zoo / name) as draft:
        content = save(halved(load_file(model / "model.safetensors")))
        if len(content) > MAX_BYTES:
            raise UserError(f"{model}: {len(content)} bytes in half precision, over {MAX_BYTES}")
        atomic_write(draft / "model.safetensors", content)
        shutil.copyfile(model / "model.json", draft / "model.json")
        scores, grid = evaluate_folders({"restored": draft}, pairs, image_px, p)
        metrics = {str(image_px): {k: s.summary(_seed(config)) for k, s in scores.items()}}
        restored = metrics[str(image_px)]["restored"]
        card = {
            "summary": summary,
            "licence": LICENCE,
            "measures": {key: restored[key] for key in MEASURES if key in restored},
        }
        write_json(draft / "model.json", {**config, "card": card})
        atomic_write(draft / "examples.jpg", as_jpeg(grid.picture()))
        atomic_write(draft / "README.md", model_card(head, metrics, config, pairs))
    print(f"{name}: {len(content) / 1e6:.1f} MB in {zoo / name}; look at its README.md")


def _head(about: Path) -> tuple[str, str]:
    """The text of the file, and its summary in one line."""
    if not about.is_file():
        raise UserError(f"{about} is not there; write what the model does and does not into it")
    head = about.read_text("utf-8").strip()
    paragraphs = head.split("\n\n")
    missing = [heading for heading in HEADINGS if heading not in head]
    if missing or len(paragraphs) < 2:
        needed = ", ".join(["a title", "a summary", *HEADINGS])
        raise UserError(f"{about}: the head of a model card needs {needed}")
    return head, paragraphs[1].replace("\n", " ")


def halved(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights in 16 bits, but for counts and for what has values too large for them.

    What is too small for full precision there, under 6e-5, is off by at most 3e-8: far under the
    epsilon that a norm layer adds to a variance.
    """
    return {name: w.half() if _fits_half(w) else w for name, w in weights.items()}


def _fits_half(w: torch.Tensor) -> bool:
    return w.is_floating_point() and bool((w.abs() <= torch.finfo(torch.float16).max).all())


def model_card(head: str, metrics: dict[str, Any], config: dict[str, Any], pairs: Path) -> str:
    """The card in Markdown: the text about the model, measures, pictures, and where it is from."""
    tiles = Manifest.read(pairs).split("valid")
    photos = len({tile.photo for tile in tiles})
    recipe = yaml.safe_dump(config["recipe"], default_flow_style=None, sort_keys=False).strip()
    return f"""{head}

## Measures

{summary_table(metrics).markdown()}

Means over {photos} photos that were not trained on ({len(tiles)} tiles), the gain with its 95 %
interval; of the weights that are here, in half precision. *Ghost* is what is left of local damage,
in levels of 255. The last column is what becomes of undamaged photos.

![crappy, restored, photo](examples.jpg)

Tiles from the worst, by what is left of the damage, to the best: crappy, restored, photo.

## Damage

```yaml
{recipe}
```

## Lineage

Commit {config["lineage"]["commit"]}; `lessonpipe lineage NAME` prints params and the hashes of what
the model was made of.
"""


def _seed(config: dict[str, Any]) -> int:
    return int(config["lineage"]["params"].get("seed", 42))
