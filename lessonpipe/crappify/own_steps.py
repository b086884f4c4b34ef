"""Steps of one's own: the functions and `Step` classes of one file, which is loaded by its path.

A recipe may be a stranger's, so a dotted path in it finds what such a file defines, and nothing
else that Python could import; and the file's folder hides no module that is installed.
"""

import sys
import traceback
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from lessonpipe.crappify.step import Step
from lessonpipe.errors import UserError

OWN = Path("my_steps.py")  # of a project, in its folder
_files: dict[str, Path] = {}  # that `use_steps` has been told, by the names of their modules
_in_project = True


def use_steps(file: Path) -> None:
    """Let recipes call what a Python file defines, as `NAME.function` for NAME.py.

    Raises `UserError` for what is no such file.
    """
    if file.suffix != ".py" or not file.stem.isidentifier() or not file.is_file():
        raise UserError(f"{file} is no Python file that holds steps, such as my_steps.py")
    _files[file.stem] = file.resolve()


def in_project(is_one: bool) -> None:
    """Say whether the working folder is a project's, whose my_steps.py recipes may call.

    It is taken for one until this is called: stages run nowhere else.
    """
    global _in_project
    _in_project = is_one


def own_step(path: str) -> Any:
    """The function or `Step` class that a dotted path such as "my_steps.rain" names.

    Raises `UserError` for what is no step of a known file, and for a file that cannot be loaded.
    """
    name, _, attribute = path.rpartition(".")
    file = _files.get(name) or (_projects_file() if name == OWN.stem and _in_project else None)
    if file is None:
        raise UserError(
            f"recipe step {path!r} is not known: a dotted path names a step in a project's {OWN}, "
            "or in a file that --steps names"
        )
    try:
        status = file.stat()
        module = _load(file.resolve(), status.st_mtime_ns, status.st_size)
    except Exception as error:
        raise UserError(
            f"recipe step {path!r} cannot be imported from {file.name} ({told(error)})"
        ) from error
    found = getattr(module, attribute, None)
    if attribute.startswith("_") or not _is_step(found, module):
        raise UserError(
            f"recipe step {path!r} is not a step: {file.name} must define a function or hold a "
            f"Step class called {attribute}"
        )
    return found


def told(error: Exception) -> str:
    """An error of a step's code in words, with the place where it was raised."""
    if isinstance(error, ImportError | AttributeError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"{error.msg} in {Path(error.filename or '').name}, line {error.lineno}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return f"{type(error).__name__}: {error} in {where}"


def _projects_file() -> Path | None:
    if OWN.is_file():
        return OWN
    found = PathFinder.find_spec(OWN.stem)  # a node that runs a stage elsewhere has it on its path
    return Path(found.origin) if found and found.origin else None


@lru_cache(maxsize=8)
def _load(file: Path, mtime_ns: int, size: int) -> ModuleType:
    """The file's module, anew when the file has changed; its folder comes last on the path."""
    name = f"lessonpipe_steps_{file.stem}"  # no other module's, whatever the file is called
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not Python")
    module = module_from_spec(spec)
    sys.modules[name] = module  # where pydantic looks for the types that annotations name
    folder = str(file.parent)
    added = folder not in sys.path
    sys.path += [folder] * added
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        if added:
            sys.path.remove(folder)
    return module


def _is_step(found: Any, module: ModuleType) -> bool:
    """Whether it is a `Step` class, or a function of the module: what that imports is none."""
    if isinstance(found, type):
        return issubclass(found, Step)
    return callable(found) and getattr(found, "__module__", None) == module.__name__
