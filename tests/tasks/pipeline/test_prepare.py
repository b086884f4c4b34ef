"""No git, a home's ~, a name that DVC cannot keep: put right, or told with the cure."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lessonpipe import zoo
from lessonpipe.errors import UserError
from tasks.pipeline.prepare import prepare
from tests.conftest import ROOT, make_picture

Door = Callable[..., "subprocess.CompletedProcess[str]"]
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def git(*args: str) -> None:
    subprocess.run(["git", *IDENTITY, *args], check=True, capture_output=True)


def config(*settings: str) -> None:
    """What `dvc config` writes."""
    Path(".dvc").mkdir(exist_ok=True)
    Path(".dvc/config").write_text("[core]\n" + "".join(f"    {line}\n" for line in settings))


def test_without_a_repository_a_sentence_says_how_to_run_all_the_same(door: Door) -> None:
    config()
    told = door("tasks.pipeline.prepare")
    assert told.returncode == 2 and told.stdout == ""
    (sentence,) = told.stderr.splitlines()
    assert "this folder is no git repository" in sentence
    assert "git init && git add -A && git commit -m start" in sentence
    assert "dvc config --local core.no_scm true" in sentence


def test_the_flows_say_the_same(door: Door) -> None:
    config()
    Path("dvc.yaml").write_text("stages: {a: {cmd: 'true', outs: [a]}}")
    told = door("flows", "run")
    assert told.returncode == 2
    assert told.stderr.startswith("flows: this folder is no git repository, which DVC asks for")
    assert len(told.stderr.splitlines()) == 1


def test_each_cure_is_one(door: Door) -> None:
    config("no_scm = true")
    assert door("tasks.pipeline.prepare").returncode == 0
    config()
    git("init")
    assert door("tasks.pipeline.prepare").returncode == 0
    Path("below").mkdir()
    os.chdir("below")
    prepare()  # DVC finds a repository above, too


@pytest.mark.parametrize("repository", [False, True])
def test_an_experiment_needs_a_commit(repository: bool, door: Door) -> None:
    config("no_scm = true")
    if repository:
        git("init")
    told = door("tasks.pipeline.prepare", "--experiment")
    assert told.returncode == 2 and len(told.stderr.splitlines()) == 1
    assert "git init && git add -A && git commit -m start" in told.stderr
    git("init")
    git("add", "-A")
    git("commit", "-m", "start", "--allow-empty")
    assert door("tasks.pipeline.prepare", "--experiment").returncode == 0


def test_stages_and_their_lineage_need_no_repository(door: Door) -> None:
    Path("my").mkdir()
    make_picture().save("my/a.jpg")
    given = {"source": "folder", "folder": "my", "pattern": "**/*", "limit": None}
    Path("params.yaml").write_text(json.dumps({"download": given}))
    assert door("tasks", "download").returncode == 0
    lineage = "from lessonpipe.io.git import commit; print(commit())"
    done = subprocess.run(["python", "-c", lineage], capture_output=True, text=True, check=True)
    assert done.stdout == "unknown\n"


PARAMS = """seed: 42

download:
  source: folder # a comment
  # ~/pictures is one
  folder: {} # or the full path
  pattern: "**/*"

other:
  folder: ~/pictures
"""


@pytest.mark.parametrize("written", ["~/pictures", "'~/pictures'", '"~/pictures"'])
def test_a_home_is_written_out_since_dvc_does_not_know_it(
    written: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git("init")
    Path("params.yaml").write_text(PARAMS.format(written))
    prepare()
    assert Path("params.yaml").read_text() == PARAMS.format(tmp_path / "home/pictures")
    assert f"download.folder is now {tmp_path}/home/pictures" in capsys.readouterr().out
    prepare()
    assert capsys.readouterr().out == ""


def test_a_home_of_odd_letters_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    git("init")
    monkeypatch.setenv("HOME", "/home/it's: #1")
    Path("params.yaml").write_text(PARAMS.format("~/pictures"))
    prepare()
    assert (
        "  folder: '/home/it''s: #1/pictures' # or the full path" in Path("params.yaml").read_text()
    )


def test_a_home_that_cannot_be_written_out_is_told() -> None:
    git("init")
    Path("params.yaml").write_text("download: {source: folder, folder: ~/pictures}")
    with pytest.raises(UserError, match=r"DVC does not know ~; write .*/home/pictures"):
        prepare()


def test_a_name_that_dvc_cannot_keep_is_told() -> None:
    git("init")
    Path("params.yaml").write_text(PARAMS.format("my"))
    Path("my/in").mkdir(parents=True)
    Path("my/in/caf\udce9.jpg").touch()
    with pytest.raises(UserError, match=r"my/in/caf\\udce9.jpg: the name is not UTF-8; rename it"):
        prepare()
    Path("my/in/caf\udce9.jpg").rename("my/in/café.jpg")
    prepare()


@pytest.mark.slow
def test_dvc_runs_on_a_folder_in_the_home_and_without_git(door: Door, tmp_path: Path) -> None:
    config("no_scm = true", "analytics = false")
    (tmp_path / "home/pictures").mkdir(parents=True)
    make_picture().save("home/pictures/a\nb.jpg")
    Path("params.yaml").write_text(
        PARAMS.format("~/pictures").replace("  pattern", "  limit: null\n  pattern")
    )
    stage = (ROOT / "dvc.yaml").read_text().split("  recipe:")[0]
    for line in (
        "lessonpipe/config.py",
        "lessonpipe/data",
        "tasks/download.py",
        "tasks/pipeline/params.py",
        "tasks/sample",
    ):
        stage = stage.replace(f"      - {line}\n", "")
    Path("dvc.yaml").write_text(stage)
    assert door("tasks.pipeline.prepare").returncode == 0
    done = door("dvc", "repro")
    assert done.returncode == 0, done.stderr
    assert Path("data/photos/a\nb.jpg").is_file()
    assert "didn't change, skipping" in door("dvc", "repro").stdout


@pytest.mark.parametrize("start", ["models/fit_pixel", "~/restorer"])
def test_a_start_that_a_run_would_change_or_dvc_does_not_know_is_told(
    start: str, door: Door
) -> None:
    config("no_scm = true")
    Path("params.yaml").write_text(f"pretrain_generator: {{start: {start}}}")
    told = door("tasks.pipeline.prepare")
    assert told.returncode == 2 and len(told.stderr.splitlines()) == 1
    assert f"cp -r {start}/. my_model/" in told.stderr
    for right in ("my_model", "models/versions/v1"):
        Path("params.yaml").write_text(f"pretrain_generator: {{start: {right}}}")
        assert door("tasks.pipeline.prepare").returncode == 0


def test_a_start_by_the_name_of_a_package_s_model_becomes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config("no_scm = true")
    monkeypatch.setattr(zoo, "ZOO", tmp_path / "zoo")
    (tmp_path / "zoo/tiny").mkdir(parents=True)
    (tmp_path / "zoo/tiny/model.json").write_text("{}")
    text = "download: {}\npretrain_generator:\n  net: {}\n  start: %s # to go on from\n"
    Path("params.yaml").write_text(text % "tiny")
    prepare()
    assert Path("params.yaml").read_text() == text % "zoo/tiny"
    prepare()  # a folder stays
    assert Path("params.yaml").read_text() == text % "zoo/tiny"
    Path("params.yaml").write_text("pretrain_generator: {start: tiny}")
    with pytest.raises(UserError, match="DVC does not know names of models; write zoo/tiny"):
        prepare()
    Path("params.yaml").write_text(text % "elsewhere")
    prepare()  # DVC says that it is not there
    assert Path("params.yaml").read_text() == text % "elsewhere"
