"""The stages and flows, importable where the command runs: a clone's own, else as installed."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from lessonpipe import __version__
from lessonpipe.cluster.session import code_folder
from lessonpipe.errors import UserError

ROOMS = ("flows", "lessons", "tasks")


def use_project_modules() -> None:
    """Import from the working folder from now on, and from where stages are installed.

    An installed command does not do so by itself. The same holds for processes started from here.
    """
    here = str(Path.cwd())
    places = [here, str(code_folder())]
    if here not in sys.path:
        sys.path.insert(0, here)
    sys.path.extend(place for place in places if place not in sys.path)
    inherited = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*places, *inherited]))


@contextmanager
def project_modules() -> Iterator[None]:
    """`use_project_modules`, and a sentence in the block for what is not there or not installed.

    Raises `UserError`.
    """
    use_project_modules()
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ROOMS:
            hides = Path(f"{package}.py")
            cure = f"{hides} hides it: rename that" if hides.exists() else "install it anew"
            raise UserError(f"lessonpipe's own package {package} is not found; {cure}") from error
        if package in _pipeline_packages():
            raise UserError(
                f"{package} is not installed, which training needs: "
                "pip install 'lessonpipe[pipeline]'"
            ) from error
        raise


def check_version() -> None:
    """Raise `UserError` where requirements.txt, by which DVC knows the code, names another."""
    file = Path("requirements.txt")
    pin = (
        re.search(r"(?m)^lessonpipe(?:\[.*?\])?==(\S+)", file.read_text())
        if file.is_file()
        else None
    )
    if pin and pin[1] != __version__:
        raise UserError(
            f"{file} names lessonpipe {pin[1]}, and {__version__} is installed; install that, or "
            f"write {__version__} there: DVC then makes all anew"
        )


def _pipeline_packages() -> set[str]:
    """What the extra `pipeline` brings, as Python imports it."""
    try:
        listed = requires("lessonpipe") or []
    except PackageNotFoundError:  # imported from a checkout that is not installed
        return set()
    extra = [text for text in listed if "'pipeline'" in text.replace('"', "'")]
    names = {text.replace("[", " ").replace(";", " ").split()[0] for text in extra}
    return {name.replace("-", "_") for name in names}
