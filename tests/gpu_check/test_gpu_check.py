"""What `make gpu-check` would do on a GPU, as far as a CPU goes."""

import json
import math
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from lessonpipe.config import TrainPhase
from tests.conftest import ROOT
from tests.gpu_check import __main__ as gpu_check
from tests.gpu_check import notebooks, parity
from tests.gpu_check.check import Check, Result
from tests.gpu_check.stand_ins import COUNTS
from tests.small import CPU, Batches

HERE = Check(torch.device("cpu"), tiny=True, end=math.inf)


def test_without_a_gpu_it_says_so_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main(["--out", str(tmp_path / "gpu.json")]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "torch finds no CUDA GPU on this machine" in told.err
    assert not list(tmp_path.iterdir())


def test_a_case_that_fails_or_is_late_is_a_row_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Result:
        raise RuntimeError("CUDA error: out of\nmemory")

    def wait() -> Result:
        time.sleep(30)
        return Result("never")

    rows = [("one", fail), ("two", lambda: Result("3 ms", {"step_ms": 3})), ("three", wait)]
    late = [("four", lambda: Result("never"))]
    parts = {"rates": lambda _: iter(rows), "compiled": lambda _: iter(late)}
    monkeypatch.setattr(gpu_check, "PARTS", parts)
    out = tmp_path / "gpu.json"
    assert gpu_check.main(["--cpu", "--minutes", "0.005", "--out", str(out)]) == 1
    found = json.loads(out.read_text())["rows"]
    assert [(row["part"], row["name"], row["ok"]) for row in found] == [
        ("rates", "one", False),
        ("rates", "two", True),
        ("rates", "three", False),
        ("compiled", "four", False),
    ]
    assert found[0]["text"] == "RuntimeError: CUDA error: out of memory"
    assert found[1]["step_ms"] == 3
    assert found[2]["text"] == "stopped: the minutes are over"
    assert found[3]["text"] == "left out: the minutes are over"
    assert "1 of 4 are as they should be" in capsys.readouterr().out


def test_a_device_that_computes_otherwise_is_found() -> None:
    def make() -> parity.System:
        system = parity.digits()
        made.append(system)
        if len(made) in wrong:
            right = system.terms
            system.terms = lambda x, y: {name: 1.1 * v for name, v in right(x, y).items()}
        return system

    for wrong, ok in (((), True), ((3,), False), ((4,), False)):  # 3: single there, 4: bf16 there
        made: list[parity.System] = []
        assert parity.compare(make, HERE).ok == ok, wrong


@pytest.mark.parametrize("samples", [None, 20])
def test_hours_are_reckoned_from_the_mean_step_and_the_notebooks_data(
    monkeypatch: pytest.MonkeyPatch, samples: int | None
) -> None:
    now = iter([10.0, 12.0, 14.0, 15.0])  # three steps, of which one is to warm up; validation
    check = SimpleNamespace(tiny=True, wait=lambda: next(now))
    monkeypatch.setitem(COUNTS, "digits", (41, 9))
    monkeypatch.setattr(notebooks, "VALID", 1)
    system = parity.digits()
    learner = system.terms.__self__  # type: ignore[attr-defined]
    data = Batches([(system.x, system.y)] * 5)
    phase = TrainPhase(batch=4, epochs=10, max_lr=1e-3, samples_per_epoch=samples)
    found = notebooks.time_phase("digits", [learner, data, CPU], phase, check)  # type: ignore[arg-type]
    epoch = 2.0 * (11 if samples is None else 5) + 1.0 * 3  # steps of 4: 41 or 20; 9 to measure by
    assert found.values["epoch_s"] == pytest.approx(epoch)
    assert found.values["seconds"] == pytest.approx(10 * epoch)


def test_every_notebook_has_a_profile_of_stages_that_are_timed() -> None:
    names = notebooks.profiles()
    assert {"camvid", "lsun"} < set(names) and any(name.startswith("lesson") for name in names)
    for name in names:
        profile = yaml.safe_load((ROOT / f"profiles/{name}.yaml").read_text())
        assert set(profile) & set(notebooks.STAGES), name


@pytest.mark.slow
def test_all_of_it_runs_cut_tiny_on_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gpu.json"
    code = gpu_check.main(["--cpu", "--out", str(out), "--minutes", "60"])
    told = capsys.readouterr().out
    assert code == 0, told
    rows = json.loads(out.read_text())["rows"]
    assert {row["part"] for row in rows} == set(gpu_check.PARTS)
    assert len(told.splitlines()) == len(rows) + 2 and "no figure above means" in told
    whole = [row for row in rows if row["name"].endswith(": the whole")]
    assert [row["name"].split(":")[0] for row in whole] == notebooks.profiles()
    assert all(row["seconds"] > 0 for row in whole)
