"""The git repository of the working folder."""

import subprocess

from lessonpipe.environment import environment

SOURCES = ("*.py", "*.yaml", ":(exclude)tests")  # what a result can depend on; runs write no such


def git(*args: str) -> str:
    """What a git command prints. Raises `OSError` without git, `CalledProcessError` if it fails."""
    done = subprocess.run(["git", *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit() -> str:
    """The short hash of the commit that is checked out, with a + if code or params differ from it.

    LESSONPIPE_COMMIT, if it is set: a cluster's nodes have no repository. Else "unknown" without
    one.
    """
    if given := environment().commit:
        return given
    try:
        head = git("rev-parse", "--short=10", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")
