"""The user's own photos and model, which git does not track and a copy of the project lacks."""

from pathlib import Path

from tasks.pipeline import params


def project_photos() -> Path | None:
    """The folder of photos inside the project; None where they come from elsewhere."""
    download = params.read().get("download") or {}
    if download.get("source") != "folder":
        return None
    folder = Path(download["folder"])
    return None if folder.expanduser().is_absolute() else folder


def project_model() -> Path | None:
    """The model folder inside the project to start from, if it holds a model."""
    folder = Path((params.read().get("pretrain_generator") or {}).get("start") or "")
    return None if folder.is_absolute() or not (folder / "model.json").is_file() else folder
