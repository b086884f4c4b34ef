"""Where a model and a restored picture come from: commit, params, data, measures.

A stage stamps its model's `model.json`; a restored picture says the same of the model that made
it in the EXIF tag `Software`, where programs say that they made a picture.
"""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from PIL import Image

from lessonpipe import __version__
from lessonpipe.errors import PictureError, UserError
from lessonpipe.io.atomic import fingerprint, read_json, write_json

SOFTWARE = 0x0131
KEPT = {0x010E, 0x010F, 0x0110, 0x0132, 0x013B, 0x8298}  # what, make, model, date, artist, rights
PARTS = (0x8769, 0x8825)  # how it was taken, and where
MAKER = f"lessonpipe {__version__}"


def commit() -> str:
    """The commit of the working folder, with a + when code or params were changed since.

    On a cluster's node, which has no repository, it is the desk's: LESSONPIPE_COMMIT.
    """
    if told := os.environ.get("LESSONPIPE_COMMIT"):
        return told
    code = ["lessonpipe", "lessons", "tasks", "my_steps.py", "params.yaml", "dvc.yaml"]
    try:
        head = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *code)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def stamp(folder: Path, params: dict[str, Any], inputs: dict[str, Path]) -> None:
    """Write into a new model's JSON which commit, params and data it was made of."""
    path = folder / "model.json"
    about = read_json(path)
    about["lineage"] = {
        "commit": commit(),
        "params": params,
        "inputs": {name: fingerprint([place], names=False)[:16] for name, place in inputs.items()},
    }
    write_json(path, about)


def of_model(folder: Path) -> dict[str, Any]:
    """What is known of a model folder. Raises `MissingError` when it is none."""
    from lessonpipe.nets.io import read_model_json  # loads torch: not for a commit

    about = read_model_json(folder)
    weights = folder / "model.safetensors"
    found = {"weights": _sha256(weights) if weights.is_file() else None, **about.get("lineage", {})}
    return {"model": about["about"].get("stage", folder.name), **found, "measures": about["about"]}


def software_tag(folder: Path) -> str:
    """One line for a picture that this model restores: all that is known of the model."""
    return f"{MAKER} {json.dumps(of_model(folder), separators=(',', ':'))}"


def with_source(noted: str, sha256: str) -> str:
    """The same line, which also says what bytes the picture was restored from."""
    return f"{noted[:-1]},{json.dumps('source')}:{json.dumps(sha256)}}}"


def exif(source: Path, software: str | None) -> bytes:
    """What the camera noted of a picture, and what made it what it is; may be nothing.

    Its orientation and size are left out: they hold no more.
    """
    kept = Image.Exif()
    if software is not None:
        kept[SOFTWARE] = software
    try:
        with Image.open(source) as picture:
            tags = picture.getexif()
            for tag in KEPT & set(tags):
                kept[tag] = tags[tag]
            for part in PARTS:
                kept.get_ifd(part).update(tags.get_ifd(part))
        return kept.tobytes() if len(kept) or any(kept.get_ifd(part) for part in PARTS) else b""
    except Exception:  # a camera's damaged notes must not cost the picture
        return exif_of(software)


def exif_of(software: str | None) -> bytes:
    """EXIF that says what made a picture and nothing else."""
    tags = Image.Exif()
    if software is None:
        return b""
    tags[SOFTWARE] = software
    return tags.tobytes()


def icc_profile(source: Path) -> bytes | None:
    """The colour profile of an RGB picture, which still holds for what is made of its numbers."""
    with Image.open(source) as picture:
        rgb = picture.mode in ("RGB", "RGBA")
        profile: bytes | None = picture.info.get("icc_profile") if rgb else None
    return profile


def of_picture(path: Path) -> dict[str, Any]:
    """What a restored picture says of itself. Raises `UserError` when it says nothing."""
    try:
        with Image.open(path) as picture:
            told = str(picture.getexif().get(SOFTWARE, ""))
    except (OSError, ValueError) as error:
        raise PictureError(f"{path}: not a picture ({error})") from error
    maker, brace, rest = told.partition(" {")
    if not maker.startswith("lessonpipe"):
        raise UserError(f"{path} does not say that lessonpipe restored it")
    try:
        return {"restored by": maker, **json.loads("{" + rest)} if brace else {"restored by": maker}
    except ValueError as error:
        raise UserError(f"{path}: what it says of its making is damaged") from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
