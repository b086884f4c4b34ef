"""The preview shows the very tiles that training gets."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from lessonpipe.app.cli import main
from lessonpipe.app.project.preview import preview_sheet
from lessonpipe.data.pictures import grid
from tasks.crappify import Job, Params

PX = 64


@pytest.fixture
def project(tmp_path: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    photos(6, width=150, height=100)
    section = {
        "recipe": [{"resize": {"shorter": 32}}, "text", "jpeg"],
        "group_pattern": None,
        "valid_share": 0.2,
        "undamaged_share": 0.3,
        "color_jitter": 0.5,
        "tiles": {"tile_px": PX, "train": 5, "valid": 1},
    }
    document = {
        "seed": 3,
        "download": {"source": "folder", "folder": "photos", "pattern": "*", "limit": None},
        "crappify": section,
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_tiles_are_those_of_the_stage(project: Path) -> None:
    document = yaml.safe_load((project / "params.yaml").read_text())
    p = Params(seed=3, **document["crappify"])
    rows = []
    for name in ("a0.jpg", "d0.jpg"):  # two of six, spread over all
        made = Job(name, (project / "photos" / name).read_bytes(), "train", p)()
        row = []
        for pair in made.pairs[:2]:
            for file in (pair.good, pair.crappy):
                tile = Image.open(io.BytesIO(made.files[file])).convert("RGB")
                row.append(tile.resize((PX, PX), Image.Resampling.BICUBIC))
        rows.append(row)
    wanted = grid(rows, ["photo", "degraded"] * 2)
    sheet, reasons = preview_sheet((), rows=2, columns=2)
    assert not reasons and np.array_equal(np.asarray(sheet), np.asarray(wanted))


def test_the_command_writes_one_picture_and_names_what_it_cannot_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "photos/b0.jpg").write_bytes(b"no picture")
    assert main(["preview", "--rows", "6", "--columns", "1"]) == 0
    told = capsys.readouterr()
    assert told.out == "look at preview.jpg\n" and "b0.jpg" in told.err
    with Image.open("preview.jpg") as sheet:
        assert sheet.width > 2 * PX and sheet.height > 5 * PX
    assert main(["preview", "photos/a0.jpg", "-o", "one.png"]) == 0
    assert main(["preview", "photos/a0.jpg", "-o", "one.png"]) == 2
    assert "would be replaced" in capsys.readouterr().err


def test_no_photo_at_all_is_told_with_the_cure(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for photo in (project / "photos").iterdir():
        photo.unlink()
    assert main(["preview"]) == 2
    assert "'photos' holds no pictures that match" in capsys.readouterr().err
    (project / "photos/a.jpg").write_bytes(b"no picture")
    assert main(["preview"]) == 2
    assert "a.jpg" in capsys.readouterr().err
    assert not (project / "preview.jpg").exists()
