"""A new project has the repository's stages and params, and starts whatever surrounds it."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lessonpipe import __version__
from lessonpipe.app.cli import main
from lessonpipe.app.project.new import FILES, TEMPLATE, new_project
from lessonpipe.errors import UserError
from lessonpipe.nets.io import read_model_json
from lessonpipe.zoo import find_model
from tasks.pipeline.params import load_stage
from tasks.pipeline.prepare import prepare
from tests.conftest import ROOT, make_picture

IDENTITY = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b.c"} | {
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@b.c",
}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_a_project_s_stages_are_the_repository_s_but_for_their_code() -> None:
    ours, theirs = read(ROOT / "dvc.yaml"), read(TEMPLATE / "stages.yaml")
    assert list(theirs["stages"]) == list(ours["stages"])[: len(theirs["stages"])]
    for name, stage in theirs["stages"].items():
        here = ours["stages"][name]
        assert stage["cmd"] == f"lessonpipe stage {name}"
        data = [
            dep
            for dep in here["deps"]
            if dep.startswith(("data/", "models/", "${download")) or dep == "my_steps.py"
        ]
        assert set(stage["deps"]) == {*data, "requirements.txt"}
        for key in ("params", "outs", "metrics"):
            assert stage.get(key) == here.get(key)
    assert all(plot in ours["plots"] for plot in theirs["plots"])


def test_dvc_does_not_take_the_template_for_the_repository_s() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    graphs = [name for name in tracked.split() if name.endswith(("dvc.yaml", ".dvc"))]
    assert graphs == ["dvc.yaml", "lessons/dvc.yaml"]


def test_a_project_s_params_are_the_repository_s_but_for_these() -> None:
    ours, theirs = read(ROOT / "params.yaml"), read(TEMPLATE / "params.yaml")
    differ = {
        f"{section}.{key}"
        for section, values in theirs.items()
        if section != "recipes" and isinstance(values, dict)
        for key, value in values.items()
        if ours[section].get(key) != value
    }
    assert differ == {
        *("download.source", "download.folder"),
        *("crappify.recipe", "crappify.color_jitter"),
        *("crappify.group_pattern", "crappify.train_only"),
        *("pretrain_generator.start", "pretrain_generator.phases", "fit_pixel.phases"),
        "pretrain_generator.net",
        "promote.tolerances",
    }
    assert theirs["pretrain_generator"]["net"] == read_model_json(find_model("old-photo"))["build"]
    unseen = {"crease", "ink"}
    old_photo = [s for s in ours["recipes"]["old-photo"] if not unseen & set(s)]
    assert theirs["recipes"]["old-photo"] == old_photo
    assert theirs["recipes"]["text"] == ours["recipes"]["lesson"]
    assert ours["seed"] == theirs["seed"] and ours["precision"] == theirs["precision"]


def test_every_section_is_its_stage_s_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_project(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    for stage in read(Path("dvc.yaml"))["stages"]:
        load_stage(importlib.import_module(f"tasks.{stage}"), stage)


def test_a_project_is_a_repository_with_a_first_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    assert new_project(tmp_path / "mine") == ""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=tmp_path / "mine", capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) == set(FILES.values())
    assert (tmp_path / "mine/requirements.txt").read_text().strip().endswith(f"=={__version__}")
    assert (tmp_path / "mine/README.md").read_text().startswith("# mine\n")
    assert "{" not in (tmp_path / "mine/requirements.txt").read_text()


def test_without_git_dvc_works_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "git is not here" in new_project(tmp_path / "mine")
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status"],
        cwd=tmp_path / "mine",
        env={"PATH": str(tmp_path / "nothing"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "changed" in done.stdout, done.stderr


def test_an_unknown_author_and_a_repository_around_it_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("EMAIL", "")
    config = [("user.useConfigOnly", "true")]
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(config)))
    for number, (key, value) in enumerate(config):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    assert new_project(tmp_path / "mine").startswith("not committed yet (git commit:")
    assert new_project(tmp_path / "mine/inner") == "it lies in a git repository: commit it there"
    assert not (tmp_path / "mine/inner/.git").exists()


def test_flows_leave_its_params_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_project(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    before = Path("params.yaml").read_text()
    prepare()
    assert Path("params.yaml").read_text() == before and "start: old-photo" in before


@pytest.mark.parametrize("name", ["a-file", "a-link", "x" * 253, "a-file/inside"])
def test_where_no_project_can_be_a_sentence_says_so(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "a-link").symlink_to(tmp_path / "nothing")
    assert main(["new", str(tmp_path / name)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "draft" not in told and str(tmp_path) in told


def test_photos_that_would_hold_the_project_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for photos in (tmp_path, Path("/"), Path(" ")):
        assert main(["new", str(tmp_path / "mine"), "--photos", str(photos)]) == 2
        assert "folder of photos" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_checkout_s_stages_run_in_it_too(tmp_path: Path) -> None:
    make_picture(320, 300).save(tmp_path / "a.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.jpg").rename(tmp_path / "photos/a.jpg")
    new_project(tmp_path / "mine", tmp_path / "photos")
    command = [sys.executable, "-m", "lessonpipe.app.cli", "stage"]

    def stage(name: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, name], cwd=tmp_path / "mine", capture_output=True, text=True
        )

    done = stage("download")
    assert done.returncode == 0 and "1 photos in data/photos" in done.stdout, done.stderr
    assert stage("recipe").returncode == 0
    assert "choose one of: " in stage("nope").stderr
    pinned = tmp_path / "mine/requirements.txt"
    pinned.write_text("lessonpipe[page,pipeline]==0.1.0\n")
    refused = stage("recipe")
    assert refused.returncode == 2 and "names lessonpipe 0.1.0" in refused.stderr
    (tmp_path / "mine/my_steps.py").write_text("def broken(:\n")
    pinned.unlink()
    wrong = stage("recipe")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
    assert "in my_steps.py, line 1" in wrong.stderr


@pytest.mark.parametrize("name", ["photos", "my 'best' photos: #1", "ünï"])
def test_photos_beside_it_are_named_by_a_relative_path_others_by_a_whole_one(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "a" / name).mkdir(parents=True)
    new_project(tmp_path / "a/mine", tmp_path / "a" / name)
    assert read(tmp_path / "a/mine/params.yaml")["download"]["folder"] == f"../{name}"
    new_project(tmp_path / "b/mine", tmp_path / "a" / name)
    folder = read(tmp_path / "b/mine/params.yaml")["download"]["folder"]
    assert folder == str(tmp_path / "a" / name)


def test_a_recipe_is_chosen_by_its_name(tmp_path: Path) -> None:
    new_project(tmp_path / "mine", recipe="old-photo")
    assert read(tmp_path / "mine/params.yaml")["crappify"]["recipe"] == "old-photo"
    with pytest.raises(UserError, match="coffee"):
        new_project(tmp_path / "other", recipe="oldphoto")
    assert not (tmp_path / "other").exists()


def test_what_is_there_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a").write_text("mine")
    assert main(["new", str(tmp_path / "mine")]) == 2
    assert "holds something" in capsys.readouterr().err
    assert main(["new", str(tmp_path / "b"), "--photos", str(tmp_path / "nowhere")]) == 2
    assert "is not a folder of photos" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "a"]


def test_the_coffee_of_the_template_is_the_same_each_time_and_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from lessonpipe.crappify.recipe import Recipe

    monkeypatch.chdir(TEMPLATE)
    recipe = Recipe(["my_steps.Coffee"])
    photo = make_picture(120, 90)
    one, two = (np.asarray(recipe.degrade(photo, "a")) for _ in range(2))
    assert np.array_equal(one, two)
    changed = (one != np.asarray(photo)).any(axis=2).mean()
    assert 0.01 < changed < 0.6
