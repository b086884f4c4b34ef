"""A new project: a folder with params, a recipe and stages, which the installed package runs."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from lessonpipe import __version__
from lessonpipe.errors import UserError, one_of
from lessonpipe.io.atomic import MAX_NAME_BYTES, atomic_folder

TEMPLATE = Path(__file__).parent / "template"
FILES = {  # of the template, and what they are called in a project
    "README.md": "README.md",
    "params.yaml": "params.yaml",
    "stages.yaml": "dvc.yaml",  # by that name DVC would take it for this repository's
    "my_steps.py": "my_steps.py",
    "requirements.txt": "requirements.txt",
    "gitignore": ".gitignore",
    "dvcignore": ".dvcignore",
    "dvc_config": ".dvc/config",
    "dvc_gitignore": ".dvc/.gitignore",
    "photos.md": "photos/README.md",
}


def new_project(folder: Path, photos: Path | None = None, recipe: str | None = None) -> str:
    """Write a project into `folder`, a git repository with a first commit where git can make one.

    `photos` is a folder of good ones, by default one inside; `recipe` one of the template's.
    Returns a note for the person, or "". Raises `UserError` for a folder that holds something, a
    folder of photos that is not there, and an unknown recipe.
    """
    folder = folder.absolute()
    _check(folder, photos)
    params = _params(folder, photos, recipe)
    with_git = shutil.which("git") is not None
    with atomic_folder(folder) as draft:
        for source, name in FILES.items():
            text = (TEMPLATE / source).read_text("utf-8")
            if source in ("README.md", "requirements.txt"):
                text = _filled(text, {"{name}": folder.name, "{version}": __version__})
            elif source == "params.yaml":
                text = params
            elif source == "dvc_config" and not with_git:
                text += "    no_scm = true\n"
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_text(text, "utf-8")
    return _first_commit(folder) if with_git else "git is not here: DVC keeps no versions of params"


def _filled(text: str, words: dict[str, str]) -> str:
    """The text with words for their marks, in one pass: a name may look like a mark."""
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)


def _check(folder: Path, photos: Path | None) -> None:
    """Raise `UserError` where no project can be made."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder} is a file or a link; name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is there, and holds something; name a new folder")
    if len(os.fsencode(folder.name)) > MAX_NAME_BYTES - len("..draft"):
        raise UserError(f"the name of {folder} is too long")
    above = next(place for place in folder.parents if place.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{above} is no folder that you may write to; name a project elsewhere")
    if photos is None:
        return
    if not str(photos).strip() or not photos.is_dir():
        raise UserError(f"{str(photos)!r} is not a folder of photos")
    if folder.resolve().is_relative_to(photos.resolve()):
        raise UserError(f"{photos} would hold the new project, too; name a folder of photos alone")


def _params(folder: Path, photos: Path | None, recipe: str | None) -> str:
    text = (TEMPLATE / "params.yaml").read_text("utf-8")
    if photos is not None:
        found = photos.resolve()
        near = found.is_relative_to(folder.parent.resolve())
        path = os.path.relpath(found, folder.parent.resolve() / folder.name) if near else str(found)
        text = re.sub(r"(?m)^  folder: photos\b", lambda _: f"  folder: {json.dumps(path)}", text)
    if recipe is not None:
        known = yaml.safe_load(text)["recipes"]
        if recipe not in known:
            raise one_of("recipe", recipe, known)
        text = re.sub(r"(?m)^  recipe: \w+", f"  recipe: {recipe}", text)
    return text


def _first_commit(folder: Path) -> str:
    """Commit the project, as experiments need; returns why that was not possible, or ""."""
    inside = subprocess.run(
        ["git", "rev-parse", "--is-inside-work-tree"], cwd=folder, capture_output=True, check=False
    )
    if inside.returncode == 0:
        return "it lies in a git repository: commit it there"
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", f"Start {folder.name}"]):
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return (
                f"not committed yet (git {words[0]}: {' '.join(reason[:1])}); dvc exp needs it: "
                "tell git who you are, then git add -A && git commit -m start"
            )
    return ""
