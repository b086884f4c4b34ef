"""Lineage of a model: the commit, params and data that its folder was made of, and its measures."""

from pathlib import Path
from typing import Any

from lessonpipe.io.atomic import read_json, write_json
from lessonpipe.io.git import commit
from lessonpipe.io.hashing import fingerprint, sha256_file
from lessonpipe.io.places import without_places


def stamp(
    folder: Path,
    params: dict[str, Any],
    inputs: dict[str, Path],
    *,
    recipe: list[Any] | None = None,
    undoes: list[str] | None = None,
    target: list[Any] | None = None,
) -> None:
    """Write commit, params and the hashes of the inputs into a new model's `model.json`.

    Of a restorer also the `recipe` whose damage it learnt to undo, as steps and in words, and the
    steps of the `target` that it learnt to make.
    """
    path = folder / "model.json"
    about = read_json(path)
    if recipe is not None:
        about |= {"recipe": recipe, "undoes": undoes or []} | ({"target": target} if target else {})
    about["lineage"] = {
        "commit": commit(),
        "params": without_places(params),
        "inputs": {name: fingerprint([path], names=False)[:16] for name, path in inputs.items()},
    }
    write_json(path, about)


def of_model(folder: Path) -> dict[str, Any]:
    """The lineage of a model folder: stage, weights' hash, commit, params, inputs, measures.

    Raises `MissingError` when it is no model folder.
    """
    from lessonpipe.nets.io import read_model_json  # loads torch: not for a stamp

    about = read_model_json(folder)
    weights = folder / "model.safetensors"
    return {
        "model": about["about"].get("stage", folder.name),
        "weights": sha256_file(weights)[:16] if weights.is_file() else None,
        **about.get("lineage", {}),
        "measures": about["about"],
    }
