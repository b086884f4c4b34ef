"""The model zoo: trained restorers that the package carries, each a model folder with its card.

A folder here holds what every model folder does, its weights in half precision, and `README.md`,
the model card (Mitchell et al. 2019). `make release MODEL=NAME` trains one and puts it here.
"""

from pathlib import Path

ZOO = Path(__file__).parent


def names() -> list[str]:
    """The names of the package's models, sorted."""
    return sorted(path.parent.name for path in ZOO.glob("*/model.json"))


def find_model(model: str | Path) -> Path:
    """The folder of the package's model of that name, else `model` itself, a folder's path."""
    return ZOO / model if str(model) in names() and not Path(model).is_dir() else Path(model)
