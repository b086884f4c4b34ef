"""The model that restores when none is named."""

from pathlib import Path

PRODUCTION = Path("models/in-service")  # what was promoted: docs/service.md
TRAINED = Path("models/fit_feature")


def default_model() -> Path:
    """The model in service if there is one, else the one that was trained."""
    return PRODUCTION if (PRODUCTION / "model.json").is_file() else TRAINED
