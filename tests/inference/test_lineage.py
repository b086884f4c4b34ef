"""A restored picture, and a model folder, say what they were made of."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageCms

from lessonpipe.app.cli import main
from lessonpipe.app.models import model_lines
from lessonpipe.errors import UserError
from lessonpipe.inference import lineage
from lessonpipe.inference.metadata import read_lineage
from lessonpipe.inference.restorer import adds_colours, target_of
from lessonpipe.nets.io import read_model_json
from tests.conftest import make_picture

DATE, ORIENTATION, CAMERA, TAKEN, GPS = 0x0132, 0x0112, 0x8769, 0x9003, 0x8825
SOFTWARE = 0x0131


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
def test_a_picture_names_its_model_and_keeps_the_cameras_exif_and_colour_profile(
    suffix: str, stamped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[DATE], exif[ORIENTATION] = "2001:02:03 04:05:06", 6
    exif.get_ifd(CAMERA)[TAKEN] = "1999:12:31 23:59:59"
    exif.get_ifd(GPS)[1] = "N"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source, out = tmp_path / f"a.{suffix}", tmp_path / "out" / f"a.{suffix}"
    make_picture(30, 20).save(source, exif=exif.tobytes(), icc_profile=srgb)
    args = ["restore", str(source), "-o", str(out.parent), "--model", str(stamped)]
    assert main(args) == 0
    restored = Image.open(out)
    assert restored.size == (20, 30) and restored.info["icc_profile"] == srgb
    tags = restored.getexif()
    assert tags[DATE] == "2001:02:03 04:05:06" and tags.get(ORIENTATION, 1) == 1
    assert tags.get_ifd(CAMERA)[TAKEN] == "1999:12:31 23:59:59" and tags.get_ifd(GPS)[1] == "N"

    capsys.readouterr()
    assert main(["lineage", str(out)]) == 0
    of_picture = yaml.safe_load(capsys.readouterr().out)
    assert main(["lineage", str(stamped)]) == 0
    of_model = yaml.safe_load(capsys.readouterr().out)
    assert of_picture.pop("restored by").startswith("lessonpipe ")
    assert {"model", "weights", "commit", "params", "inputs", "measures"} == set(of_model)
    assert of_picture == of_model
    assert of_model["measures"] == {"stage": "small", "valid_psnr": 25.5}
    assert of_model["params"] == {"loss": "mse"} and len(of_model["inputs"]["pairs"]) == 16

    assert main([*args, "--no-note", "--overwrite"]) == 0
    assert Image.open(out).getexif()[DATE] == "2001:02:03 04:05:06"
    with pytest.raises(UserError, match="does not say that lessonpipe restored it"):
        read_lineage(out)


def test_a_model_says_what_it_undoes_and_restore_does(
    stamped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lineage.stamp(stamped, {}, {}, recipe=["grey", "jpeg"], undoes=["lost colour", "blocks"])
    make_picture(30, 20).save(tmp_path / "a.png")
    args = [f"{tmp_path}/a.png", "-o", f"{tmp_path}/out", "--model", str(stamped)]
    assert main(["restore", *args]) == 0
    assert "undoes: lost colour, blocks" in capsys.readouterr().out


def test_a_model_says_what_it_makes_of_photos_and_gives_grey_ones_its_colours(
    stamped: Path,
) -> None:
    assert target_of(read_model_json(stamped)) == "" and not adds_colours(read_model_json(stamped))
    target = ["edges", {"palette": {"brush": 7}}]
    lineage.stamp(stamped, {}, {}, recipe=["jpeg"], undoes=["blocks"], target=target)
    about = read_model_json(stamped)
    assert about["target"] == target and adds_colours(about)
    assert "makes of a photo: edges, palette" in model_lines(stamped)
    (stamped / "model.json").write_text(json.dumps({**about, "target": {"edges": 5}}))
    with pytest.raises(UserError, match="target"):
        read_model_json(stamped)


def test_a_picture_says_all_of_it_when_the_model_is_gone(
    stamped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_picture(30, 20).save(tmp_path / "a.jpg")
    args = [f"{tmp_path}/a.jpg", "-o", f"{tmp_path}/out", "--model", str(stamped)]
    assert main(["restore", *args]) == 0
    of_model = lineage.of_model(stamped)
    shutil.rmtree(stamped)
    capsys.readouterr()
    assert main(["lineage", f"{tmp_path}/out/a.jpg"]) == 0
    of_picture = yaml.safe_load(capsys.readouterr().out)
    assert of_model.items() <= of_picture.items()
    assert of_model["params"] and of_model["inputs"] and of_model["measures"]


def test_a_cameras_damaged_exif_does_not_cost_the_picture(stamped: Path, tmp_path: Path) -> None:
    make_picture(30, 20).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    args = [f"{tmp_path}/a.jpg", "-o", f"{tmp_path}/o", "--model", str(stamped)]
    assert main(["restore", *args]) == 0
    assert read_lineage(tmp_path / "o/a.jpg")["weights"]


@pytest.mark.parametrize(
    "software", ["lessonpipe 1.0 {broken", "lessonpipe 1.0 {", "GIMP 2.10", ""]
)
def test_another_programs_or_a_damaged_tag_is_refused(software: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[SOFTWARE] = software
    make_picture().save(tmp_path / "a.png", exif=exif)
    with pytest.raises(UserError):
        read_lineage(tmp_path / "a.png")


def test_the_hash_of_an_input_does_not_depend_on_where_it_was(
    stamped: Path, tmp_path: Path
) -> None:
    before = json.loads((stamped / "model.json").read_text())["lineage"]["inputs"]
    (tmp_path / "pairs").rename(tmp_path / "elsewhere")
    lineage.stamp(stamped, {}, {"pairs": tmp_path / "elsewhere"})
    assert json.loads((stamped / "model.json").read_text())["lineage"]["inputs"] == before
