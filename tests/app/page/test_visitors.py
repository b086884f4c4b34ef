"""Many visitors at once, strangers, and files that the page must not give away."""

import io
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from PIL.ExifTags import IFD

from lessonpipe.errors import UserError
from tests.app.page.conftest import Started, running
from tests.app.page.visitor import Visitor
from tests.conftest import make_picture

pytestmark = pytest.mark.slow
VISITORS = 50


def test_fifty_visitors_at_once_get_their_own_pictures_and_the_memory_stays_flat(
    page: Started, tmp_path: Path
) -> None:
    files = []
    for i in range(VISITORS):
        files.append(tmp_path / str(i) / "photo.png")  # all of one name
        files[-1].parent.mkdir()
        make_picture(200 + i, 150, seed=i).save(files[-1])
    Visitor(page.url).restored(files[:1])
    memory = psutil.Process(page.process.pid).memory_info
    before = memory().rss
    with ThreadPoolExecutor(VISITORS) as pool:
        answers = list(pool.map(lambda file: Visitor(page.url).restored([file]), files))
    for i, (content, _) in enumerate(answers):
        got = Image.open(io.BytesIO(content))
        original = make_picture(200 + i, 150, seed=i)
        assert got.size == original.size
        apart = np.abs(np.asarray(got, float) - np.asarray(original, float)).mean()
        assert apart < 60  # the untrained network changes a picture, not into another
    lengths = [
        m["queue_size"] for _, messages in answers for m in messages if m["msg"] == "estimation"
    ]
    assert max(lengths) > 10
    assert memory().rss - before < 300e6


def test_a_visitor_who_asks_for_it_gets_a_picture_that_names_no_place(
    page: Started, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 51.0, 30.0)})
    make_picture(80, 60).save(tmp_path / "a.jpg", exif=exif.tobytes())
    for gps in (True, False):
        visitor = Visitor(page.url)
        assert visitor.defaults[-1] is True  # the box GPS
        visitor.defaults[-1] = gps
        content, _ = visitor.restored([tmp_path / "a.jpg"])
        assert bool(Image.open(io.BytesIO(content)).getexif().get_ifd(IFD.GPSInfo)) == gps


def test_a_visitor_who_leaves_ends_the_work_for_the_next(page: Started, tmp_path: Path) -> None:
    files = []
    for i in range(60):
        files.append(tmp_path / f"{i}.png")
        make_picture(800, 700, seed=i).save(files[-1])
    leaver = Visitor(page.url)
    leaver.join(leaver.upload(files))
    for message in leaver.messages():
        if "1 of 60 done" in str(message):
            break
    leaver.http.close()
    _, messages = Visitor(page.url).restored(files[:1])
    assert messages[-1]["success"]
    name = sha256(leaver.session.encode()).hexdigest()
    assert 1 <= len(list(page.folder.glob(f"lessonpipe-page-*/results/{name}/*/*"))) < 30


@pytest.mark.parametrize("name", ["params.yaml", "models/fit_pixel/model.json", "/etc/passwd"])
def test_no_file_of_the_machine_is_given_away(page: Started, name: str) -> None:
    path = page.folder / name
    if not path.exists():
        path.write_text("seed: 1")
    assert httpx.get(f"{page.url}/gradio_api/file={path}").status_code in (403, 404)


def test_a_picture_of_the_machine_that_was_not_uploaded_is_not_restored(
    page: Started, tmp_path: Path
) -> None:
    make_picture().save(tmp_path / "private.png")
    thief = Visitor(page.url)
    thief.join([{"path": str(tmp_path / "private.png"), "meta": {"_type": "gradio.FileData"}}])
    last = list(thief.messages())[-1]
    assert not last["success"] and "restored" not in str(last)


def test_a_session_called_as_a_path_reaches_no_folder(page: Started, tmp_path: Path) -> None:
    make_picture().save(tmp_path / "a.png")
    for name in ("../../models", str(page.folder / "models")):
        visitor = Visitor(page.url)
        visitor.session = name
        visitor.join(visitor.upload([tmp_path / "a.png"]))
        assert list(visitor.messages())[-1]["success"]
        assert (page.folder / "models/fit_pixel/model.json").is_file()


def test_a_model_that_is_not_on_the_list_is_not_loaded(page: Started, tmp_path: Path) -> None:
    make_picture().save(tmp_path / "a.png")
    visitor = Visitor(page.url)
    visitor.defaults[1] = str(tmp_path)
    visitor.join(visitor.upload([tmp_path / "a.png"]))
    assert not list(visitor.messages())[-1]["success"]


def test_an_upload_of_more_bytes_than_are_allowed_is_refused(page: Started) -> None:
    def zeros():
        yield from (bytes(1_000_000) for _ in range(210))

    boundary = "x"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'

    def body():
        yield head.encode()
        yield from zeros()
        yield f"\r\n--{boundary}--\r\n".encode()

    answer = httpx.post(
        f"{page.url}/gradio_api/upload",
        content=body(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        timeout=60,
    )
    assert answer.status_code == 413


def test_others_reach_it_with_the_password_alone(tmp_path: Path) -> None:
    with running(tmp_path, "--host", "0.0.0.0", "--password", "open sesame") as started:
        url = f"http://127.0.0.1:{started.url.rpartition(':')[2]}"
        assert httpx.get(f"{url}/config").status_code == 401
        form = {"username": "lessonpipe", "password": "open"}
        assert httpx.post(f"{url}/login", data=form).status_code == 400
        form["password"] = "open sesame"
        cookies = httpx.post(f"{url}/login", data=form).raise_for_status().cookies
        assert httpx.get(f"{url}/config", cookies=cookies).status_code == 200


def test_another_host_without_a_password_is_refused() -> None:
    from lessonpipe.app.page.server import serve

    with pytest.raises(UserError, match=r"0\.0\.0\.0 can be reached by others: add --password"):
        serve(host="0.0.0.0")


def test_a_taken_port_and_a_missing_gradio_are_told_in_a_sentence(
    page: Started, tmp_path: Path
) -> None:
    port = page.url.rpartition(":")[2]
    words = [sys.executable, "-m", "lessonpipe.app.cli", "page", "--no-browser", "--port", port]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "choose another --port" in done.stderr, done.stderr
    hidden = "import sys; sys.modules['gradio'] = None; from lessonpipe.app.cli import main; "
    words = [sys.executable, "-c", f"{hidden}sys.exit(main(['page']))"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "pip install 'lessonpipe[page]'" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_when_it_ends_nothing_of_its_visitors_is_left(
    model: Path, tmp_path: Path, end: signal.Signals
) -> None:
    shutil.copytree(model, tmp_path / "models/fit_pixel")
    with running(tmp_path) as started:
        make_picture().save(tmp_path / "a.png")
        Visitor(started.url).restored([tmp_path / "a.png"])
        assert list(tmp_path.glob("lessonpipe-page-*/results/*/*"))
        started.process.send_signal(end)
        assert started.process.wait(60) == 0
    assert not list(tmp_path.glob("lessonpipe-page-*"))
