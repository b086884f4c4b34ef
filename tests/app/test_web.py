"""A model in the browser: the command's pictures, at a phone's width, with the network cut."""

import base64
import io
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lessonpipe.app.cli import main
from lessonpipe.app.web.export import RUNTIME, export_web
from lessonpipe.errors import UserError
from lessonpipe.inference.restorer import Restorer
from tests.browser import Tab, needs_browser, open_browser
from tests.cluster.conftest import free_port
from tests.conftest import make_picture, until

pytest.importorskip("onnxruntime")
needs_npm = pytest.mark.skipif(not shutil.which("npm"), reason="no npm: install Node.js")
ANSWER = """
const [number, done] = arguments;
const image = document.querySelectorAll('.answer:not([hidden]) .compare')[number]?.children[1];
if (!image) done(null);
else fetch(image.src).then(r => r.blob()).then(blob => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.split(',')[1]);
  reader.readAsDataURL(blob);
});
"""


@pytest.fixture(scope="module")
def site(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, written once."""
    folder = tmp_path_factory.mktemp("web") / "site"
    made = export_web(model, folder)
    assert made.bytes == (folder / "model.onnx").stat().st_size
    return folder


@pytest.fixture
def server(site: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Any web server will do: Python's."""
    port = free_port()
    words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*words, "--directory", site], stdout=quiet, stderr=quiet)
    process.port = port  # type: ignore[attr-defined]
    until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    yield process
    process.kill()
    process.wait()


def restored(tab: Tab, number: int, *files: Path) -> Image.Image:
    """Choose files; the picture `number` of all that are restored then."""
    if files:
        tab.browser.find_element("css selector", "#files").send_keys("\n".join(map(str, files)))
    content = until(lambda: tab.browser.execute_async_script(ANSWER, number))
    return Image.open(io.BytesIO(base64.b64decode(content)))


@needs_npm
@needs_browser
@pytest.mark.slow
def test_a_browser_without_a_network_makes_the_commands_pictures(
    model: Path, server: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    pictures = {
        "wide.png": make_picture(1100, 590, seed=1),  # of several tiles
        "small.png": make_picture(37, 41, seed=2),
        "grey.png": make_picture(200, 150, seed=3).convert("L").convert("RGB"),
        "cut-out.png": cut_out(make_picture(210, 131, seed=4)),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    restorer = Restorer(model, precision="fp32")
    with open_browser(tmp_path, 390) as tab:
        tab.browser.get(f"http://127.0.0.1:{server.port}/")  # type: ignore[attr-defined]
        tab.see("It works without a network now.")
        wide = restored(tab, 0, tmp_path / "wide.png")
        assert near(wide, restorer(pictures["wide.png"]))

        server.kill()
        server.wait()
        tab.browser.refresh()
        tab.see("It works without a network now.")
        names = ("small.png", "grey.png", "cut-out.png")
        small = restored(tab, 0, *(tmp_path / name for name in names))
        assert near(small, restorer(pictures["small.png"]))
        grey = restored(tab, 1)
        assert near(grey, restorer(pictures["grey.png"]))
        assert np.ptp(np.asarray(grey.convert("RGB"), int), axis=2).max() == 0
        cut = restored(tab, 2)
        wanted = restorer(pictures["cut-out.png"])
        assert cut.mode == "RGBA"
        seen = np.asarray(cut)[..., 3] > 0
        assert np.array_equal(np.asarray(cut)[..., 3], np.asarray(wanted)[..., 3])
        apart = np.asarray(cut, int)[seen] - np.asarray(wanted, int)[seen]
        assert np.abs(apart).max() <= 2 and 0.2 < seen.mean() < 0.8
        assert tab.browser.execute_script("return self.crossOriginIsolated")  # all cores
        assert tab.browser.execute_script(
            "return document.documentElement.scrollWidth <= window.innerWidth"
        )

        (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
        tab.browser.find_element("css selector", "#files").send_keys(str(tmp_path / "broken.png"))
        tab.see("Not restored: this browser cannot read it as a picture")


def cut_out(picture: Image.Image) -> Image.Image:
    """An opaque disc on nothing, under which the file holds black."""
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((30, 10, 160, 120), fill=255)
    picture.putalpha(mask)
    return Image.composite(picture, Image.new("RGBA", picture.size), mask)


def near(got: Image.Image, wanted: Image.Image) -> bool:
    """Whether all samples are within 2 levels of 255."""
    assert got.size == wanted.size
    apart = np.asarray(got.convert("RGB"), int) - np.asarray(wanted.convert("RGB"), int)
    return bool(np.abs(apart).max() <= 2)


def test_another_runtime_than_the_published_is_refused_and_nothing_is_left(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "runtime.tgz").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"runtime\.tgz is not onnxruntime-web@.*hash differs"):
        export_web(model, tmp_path / "site", runtime=tmp_path / "runtime.tgz")
    with pytest.raises(UserError, match=r"gone\.tgz: No such file"):
        export_web(model, tmp_path / "site", runtime=tmp_path / "gone.tgz")
    assert [path.name for path in tmp_path.iterdir()] == ["runtime.tgz"]


def test_without_npm_the_error_says_how_to_get_the_runtime(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=f"npm pack {RUNTIME}"):
        export_web(model, tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_not_replaced(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/thesis.txt").write_text("years of work")
    words = ["export", str(model), "-o", str(tmp_path / "public"), "--to", "web", "--overwrite"]
    assert main(words) == 2
    assert "is no folder that --to web has written" in capsys.readouterr().err
    assert (tmp_path / "public/thesis.txt").is_file()
