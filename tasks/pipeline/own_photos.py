"""The user's own photos, which git ignores and a copy of the project therefore lacks."""

from pathlib import Path

from tasks.pipeline import params


def project_photos() -> Path | None:
    """The folder of photos inside the project; None where they come from elsewhere."""
    download = params.read().get("download") or {}
    if download.get("source") != "folder":
        return None
    folder = Path(download["folder"])
    return None if folder.expanduser().is_absolute() else folder
