"""The stages and flows, importable wherever the command runs."""

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


@contextmanager
def project_modules() -> Iterator[None]:
    """Import stages and flows in the block, and in processes started from it, as installed.

    They come last on the import path: no file of the working folder hides a module. What is not
    there or not installed is told in a sentence. Raises `UserError`.
    """
    place = str(code_folder())
    inherited = os.environ.get("PYTHONPATH")
    path = list(sys.path)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (inherited, place)))
    sys.path += [place] * (place not in path)
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ROOMS:
            raise UserError(
                f"lessonpipe's own package {package} is not found; install it anew"
            ) from error
        if package in _pipeline_packages():
            raise UserError(
                f"{package} is not installed, which training needs: "
                "pip install 'lessonpipe[pipeline]'"
            ) from error
        raise
    finally:
        sys.path[:] = path
        os.environ.pop("PYTHONPATH")
        if inherited is not None:
            os.environ["PYTHONPATH"] = inherited


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
