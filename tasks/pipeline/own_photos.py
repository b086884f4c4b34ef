"""The user's own photos, which git ignores, when a copy of the project runs."""

from pathlib import Path

import yaml


def project_photos() -> Path | None:
    """The folder of photos inside the project; None where they come from elsewhere."""
    params = yaml.safe_load(Path("params.yaml").read_text("utf-8")) or {}
    download = params.get("download") or {}
    if download.get("source") != "folder":
        return None
    folder = Path(download["folder"])
    return None if folder.expanduser().is_absolute() else folder
