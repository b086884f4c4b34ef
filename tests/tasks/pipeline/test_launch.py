"""Independent trainings: each result is saved, and after a failure only the missing are trained."""

from functools import partial

import pytest
from pydantic import BaseModel

from lessonpipe.errors import LessonpipeError, UserError
from tasks.pipeline import launch


class Params(BaseModel):
    steps: int = 1


def one(job, folder, broken):
    if job == broken:
        raise UserError(f"{job} cannot be done")
    with open(folder / f"{job}.done", "a") as file:
        file.write("x")
    return {"answer": job * 2}


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Runs three jobs, one of which may be `broken`; returns what `map_trainings` yields."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LESSONPIPE_WORKERS", "1")  # one after the other
    (tmp_path / "data").write_text("input")

    def run(broken=None, params=None):
        jobs = {name: name for name in ("a", "b", "c")}
        do = partial(one, folder=tmp_path, broken=broken)
        inputs = [tmp_path / "data"]
        with launch.map_trainings(do, jobs, params or Params(), inputs, "recipe") as done:
            return done

    return run


def times(folder):
    return {path.stem: len(path.read_text()) for path in folder.glob("*.done")}


@pytest.mark.slow
def test_after_a_failure_only_the_missing_trainings_are_done_and_in_the_end_no_result_is_left(
    trainings, tmp_path
):
    with pytest.raises(LessonpipeError, match="c cannot be done"):
        trainings(broken="c")
    assert times(tmp_path) == {"a": 1, "b": 1}
    assert trainings() == {"a": {"answer": "aa"}, "b": {"answer": "bb"}, "c": {"answer": "cc"}}
    assert times(tmp_path) == {"a": 1, "b": 1, "c": 1}
    assert not list((tmp_path / ".lessonpipe/checkpoints").iterdir())
    with pytest.raises(LessonpipeError):
        trainings(broken="c")
    trainings(params=Params(steps=2))  # other params: nothing of the failed run is taken
    assert times(tmp_path) == {"a": 3, "b": 3, "c": 2}
