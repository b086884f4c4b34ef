"""A wheel of the working tree, and environments that hold it with what it requires."""

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from tests.conftest import ROOT

SETUPTOOLS = (
    "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])('{}'))"
)


def build(kind: str, source: Path, out: Path) -> Path:
    """A wheel or sdist of a source tree, by the backend that pyproject.toml names."""
    out.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-c", SETUPTOOLS.format(out), f"build_{kind}"]
    done = subprocess.run(words, cwd=source, check=True, capture_output=True, text=True)
    return out / done.stdout.strip().splitlines()[-1]


def copy_source(folder: Path, model: Path) -> Path:
    """The files of the working tree that git knows, copied: building leaves folders behind.

    `model` is the package's `old-photo` there, or in its place.
    """
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    shutil.copytree(model, folder / "lessonpipe/zoo/old-photo", dirs_exist_ok=True)
    for name in filter(None, names):
        if (ROOT / name).is_file() and not name.startswith(("docs/", "tests/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def environment(folder: Path, wheel: Path, extras: tuple[str, ...] = ()) -> Path:
    """The `bin` of an environment that holds the wheel and what it requires, and nothing else.

    What it requires is linked, not installed once more: torch alone takes a minute.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    found: dict[str, importlib.metadata.Distribution] = {}
    own = importlib.metadata.PathDistribution(site / Path(metadata).parent)
    _require(own, extras, found)
    for distribution in found.values():
        for path in _top_levels(distribution):
            if path.exists() and not (site / path.name).exists():
                (site / path.name).symlink_to(path)
    for distribution in [own, *found.values()]:
        for script in distribution.entry_points.select(group="console_scripts"):
            _write_script(folder / "bin", script)
    return folder / "bin"


def _require(
    distribution: importlib.metadata.Distribution,
    extras: tuple[str, ...],
    found: dict[str, importlib.metadata.Distribution],
) -> None:
    """Add all that a distribution with these extras requires to `found`."""
    for text in distribution.requires or []:
        wanted = Requirement(text)
        if wanted.marker and not any(
            wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            continue
        key = f"{wanted.name.lower()}[{','.join(sorted(wanted.extras))}]"
        if key not in found:
            found[key] = importlib.metadata.distribution(wanted.name)
            _require(found[key], tuple(sorted(wanted.extras)), found)


def _top_levels(distribution: importlib.metadata.Distribution) -> Iterator[Path]:
    """The files and folders of a distribution in site-packages."""
    names = {file.parts[0] for file in distribution.files or [] if file.parts[0] != ".."}
    for name in names - {"__pycache__"}:
        yield Path(str(distribution.locate_file(name)))


def _write_script(folder: Path, script: importlib.metadata.EntryPoint) -> None:
    """A command, as pip writes it."""
    file = folder / script.name
    module, _, name = script.value.partition(" ")[0].partition(":")
    file.write_text(
        f"#!{folder / 'python'}\nimport sys\nfrom {module} import {name.split('.')[0]}\n"
        f"if __name__ == '__main__':\n    sys.exit({name}())\n"
    )
    file.chmod(0o755)
