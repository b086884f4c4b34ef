"""An exported file gives torch's answers at any size, by onnxruntime alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lessonpipe.app.cli import main
from lessonpipe.app.export import export_onnx
from lessonpipe.errors import UserError
from lessonpipe.nets.io import load_generator, save_model
from tests.conftest import make_picture
from tests.small import generator

onnxruntime = pytest.importorskip("onnxruntime")
ALONE = """
import sys, numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
grid = int(session.get_modelmeta().custom_metadata_map["grid"])
x = np.load(sys.argv[2])
assert x.shape[2] % grid == x.shape[3] % grid == 0
np.save(sys.argv[3], session.run(["restored"], {"picture": x})[0])
assert "torch" not in sys.modules
"""


def picture(height: int, width: int) -> np.ndarray:
    pixels = np.asarray(make_picture(width, height), np.float32) / 255
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]


@pytest.mark.parametrize("size", [(64, 64), (320, 192)])
def test_onnxruntime_alone_gives_torch_s_answer(
    model: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    made = export_onnx(model, tmp_path / "net.onnx")
    assert made.largest < 0.05 and made.bytes == (tmp_path / "net.onnx").stat().st_size
    x = picture(*size)
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / name) for name in ("net.onnx", "x.npy", "y.npy")]
    subprocess.run([sys.executable, "-c", ALONE, *files], check=True)
    with torch.inference_mode():
        wanted = load_generator(model)(torch.from_numpy(x)).numpy()
    assert np.abs(np.load(tmp_path / "y.npy") - wanted).max() * 255 < 0.05


def test_a_network_that_fills_its_mask_from_around_is_exported_too(tmp_path: Path) -> None:
    net = generator(output="inpaint")
    torch.nn.init.normal_(net.unet.output[0].weight, std=0.5)
    torch.nn.init.zeros_(net.unet.output[0].bias)
    save_model(tmp_path / "net", net, {})
    made = export_onnx(tmp_path / "net", tmp_path / "net.onnx")
    assert made.largest < 0.05 and made.psnr > 60
    assert export_onnx(tmp_path / "net", tmp_path / "half.onnx", "float16").psnr > 40


def test_fewer_bits_are_smaller_and_a_little_off(model: Path, tmp_path: Path) -> None:
    full, half, eighth = (
        export_onnx(model, tmp_path / f"{weights}.onnx", weights)  # type: ignore[arg-type]
        for weights in ("float32", "float16", "int8")
    )
    assert full.bytes > half.bytes > eighth.bytes
    assert full.psnr > half.psnr > eighth.psnr > 30


def test_a_network_with_attention_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    save_model(tmp_path / "a", generator(attention=True), {})
    with pytest.raises(UserError, match="SelfAttention"):
        export_onnx(tmp_path / "a", tmp_path / "a.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


def test_the_command_tells_size_and_likeness_and_replaces_nothing_unasked(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net.onnx"
    assert main(["export", str(model), "-o", str(out)]) == 0
    assert "MB; against torch at most" in capsys.readouterr().out
    assert main(["export", str(model), "-o", str(out)]) == 2
    assert "would be replaced; add --overwrite" in capsys.readouterr().err
    assert main(["export", "nowhere", "-o", str(tmp_path / "b.onnx")]) == 2
    assert "nowhere is not a model folder" in capsys.readouterr().err


def test_without_onnx_the_cure_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"pip install 'lessonpipe\[onnx\]'"):
        export_onnx(model, tmp_path / "net.onnx")
