"""A restored picture, and a model folder, say what they were made of."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageCms

from lessonpipe import lineage
from lessonpipe.app.cli import main
from lessonpipe.errors import UserError
from tests.conftest import make_picture

DATE, ORIENTATION, CAMERA, TAKEN, PLACE = 0x0132, 0x0112, 0x8769, 0x9003, 0x8825


@pytest.fixture
def stamped(model: Path, tmp_path: Path) -> Path:
    """A model folder with a lineage."""
    folder = tmp_path / "stamped"
    folder.mkdir()
    for name in ("model.json", "model.safetensors"):
        (folder / name).write_bytes((model / name).read_bytes())
    about = json.loads((folder / "model.json").read_text())
    about["about"] = {"stage": "small", "valid_psnr": 25.5}
    (folder / "model.json").write_text(json.dumps(about))
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "manifest.json").write_text("{}")
    lineage.stamp(folder, {"loss": "mse"}, {"pairs": tmp_path / "pairs"})
    return folder


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_picture_says_which_model_restored_it_and_keeps_what_the_camera_noted(
    suffix: str, stamped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = Image.Exif()
    notes[DATE], notes[ORIENTATION] = "2001:02:03 04:05:06", 6
    notes.get_ifd(CAMERA)[TAKEN] = "1999:12:31 23:59:59"
    notes.get_ifd(PLACE)[1] = "N"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source, out = tmp_path / f"a.{suffix}", tmp_path / "out" / f"a.{suffix}"
    make_picture(30, 20).save(source, exif=notes.tobytes(), icc_profile=srgb)
    words = ["restore", str(source), "-o", str(out.parent), "--model", str(stamped)]
    assert main(words) == 0
    made = Image.open(out)
    assert made.size == (20, 30) and made.info["icc_profile"] == srgb
    tags = made.getexif()
    assert tags[DATE] == "2001:02:03 04:05:06" and tags.get(ORIENTATION, 1) == 1
    assert tags.get_ifd(CAMERA)[TAKEN] == "1999:12:31 23:59:59" and tags.get_ifd(PLACE)[1] == "N"

    capsys.readouterr()
    assert main(["lineage", str(out)]) == 0
    told = yaml.safe_load(capsys.readouterr().out)
    assert main(["lineage", str(stamped)]) == 0
    known = yaml.safe_load(capsys.readouterr().out)
    assert told["restored by"].startswith("lessonpipe ")
    assert {"model", "weights", "commit", "params", "inputs", "measures"} == set(known)
    assert known == {name: value for name, value in told.items() if name != "restored by"}
    assert known["measures"] == {"stage": "small", "valid_psnr": 25.5}
    assert known["params"] == {"loss": "mse"} and len(known["inputs"]["pairs"]) == 16

    assert main([*words, "--no-note", "--overwrite"]) == 0
    assert Image.open(out).getexif()[DATE] == "2001:02:03 04:05:06"
    with pytest.raises(UserError, match="does not say that lessonpipe restored it"):
        lineage.of_picture(out)


def test_a_picture_says_all_of_it_when_the_model_is_gone(
    stamped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_picture(30, 20).save(tmp_path / "a.jpg")
    words = [f"{tmp_path}/a.jpg", "-o", f"{tmp_path}/out", "--model", str(stamped)]
    assert main(["restore", *words]) == 0
    known = lineage.of_model(stamped)
    shutil.rmtree(stamped)
    capsys.readouterr()
    assert main(["lineage", f"{tmp_path}/out/a.jpg"]) == 0
    told = yaml.safe_load(capsys.readouterr().out)
    assert known.items() <= told.items()
    assert known["params"] and known["inputs"] and known["measures"]


def test_damaged_notes_of_a_camera_do_not_cost_the_picture(stamped: Path, tmp_path: Path) -> None:
    make_picture(30, 20).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    assert (
        main(["restore", f"{tmp_path}/a.jpg", "-o", f"{tmp_path}/o", "--model", str(stamped)]) == 0
    )
    assert lineage.of_picture(tmp_path / "o/a.jpg")["weights"]


@pytest.mark.parametrize("told", ["lessonpipe 1.0 {broken", "lessonpipe 1.0 {", "GIMP 2.10", ""])
def test_a_picture_that_says_something_else_is_told_apart(told: str, tmp_path: Path) -> None:
    make_picture().save(tmp_path / "a.png", exif=lineage.exif_of(told))
    with pytest.raises(UserError):
        lineage.of_picture(tmp_path / "a.png")


def test_the_commit_has_a_plus_when_code_or_params_were_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LESSONPIPE_COMMIT", raising=False)
    assert lineage.commit() == "unknown"

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *words], check=True)

    Path("lessons").mkdir()
    for name in ("params.yaml", "dvc.lock", "lessons/nets.py"):
        Path(name).write_text("a")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "start")
    commit = lineage.commit()
    assert len(commit) == 10
    Path("dvc.lock").write_text("b")  # DVC writes it while it runs
    assert lineage.commit() == commit
    for name in ("params.yaml", "lessons/nets.py"):
        Path(name).write_text("b")
        assert lineage.commit() == commit + "+"
        Path(name).write_text("a")
    monkeypatch.setenv("LESSONPIPE_COMMIT", "of the desk")
    assert lineage.commit() == "of the desk"


def test_what_a_model_was_made_of_does_not_depend_on_where_it_lay(
    stamped: Path, tmp_path: Path
) -> None:
    before = json.loads((stamped / "model.json").read_text())["lineage"]["inputs"]
    (tmp_path / "pairs").rename(tmp_path / "elsewhere")
    lineage.stamp(stamped, {}, {"pairs": tmp_path / "elsewhere"})
    assert json.loads((stamped / "model.json").read_text())["lineage"]["inputs"] == before
