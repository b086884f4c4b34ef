"""The commit that models and pages are stamped with."""

import subprocess
from pathlib import Path

import pytest

from lessonpipe.io.git import commit


def test_the_commit_has_a_plus_when_code_or_params_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LESSONPIPE_COMMIT", raising=False)
    assert commit() == "unknown"

    def git(*args: str) -> None:
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *author, *args], check=True)

    sources = ("params.yaml", "my_steps.py", "lessons/nets.py", "deep/er/dvc.yaml")
    others = ("dvc.lock", "reports/metrics.json", "README.md", "tests/test_nets.py")
    for name in (*sources, *others):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("a")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "start")
    clean = commit()
    assert len(clean) == 10
    for name in others:  # a run writes some of them, and none changes a result
        Path(name).write_text("b")
    Path("untracked.py").touch()
    assert commit() == clean
    for name in sources:
        Path(name).write_text("b")
        assert commit() == clean + "+"
        Path(name).write_text("a")
    monkeypatch.setenv("LESSONPIPE_COMMIT", "of the desk")
    assert commit() == "of the desk"
