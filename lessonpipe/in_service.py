"""The model that restores when none is named."""

from pathlib import Path

IN_SERVICE = Path("models/in-service")  # what was promoted: docs/service.md
TRAINED = Path("models/fit_feature")


def default_model() -> Path:
    """The model in service if there is one, else the one that was trained."""
    return IN_SERVICE if (IN_SERVICE / "model.json").is_file() else TRAINED
