"""Uploads together are bounded, by a real server that receives real multipart bodies."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from lessonpipe.app.page.uploads import UploadLimit
from tests.conftest import until

MOST = 100_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server that keeps the body of an upload as a file; returns its address and the folder."""
    kept = tmp_path / "uploads"
    app = FastAPI(middleware=[Middleware(UploadLimit, folder=kept, most=MOST)])

    kept.mkdir()

    @app.post("/gradio_api/upload")
    async def upload(request: Request) -> int:
        file = kept / f"{uuid4().hex}.bin"
        try:
            async for chunk in request.stream():  # to the disk as it comes, as Gradio does
                with open(file, "ab") as out:
                    out.write(chunk)
        except HTTPException:  # raised by what is tested
            file.unlink(missing_ok=True)
            raise
        return file.stat().st_size

    @app.post("/other")
    async def other(request: Request) -> int:
        return len(await request.body())

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    runner = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    until(lambda: runner.started)
    yield f"http://127.0.0.1:{port}", kept
    runner.should_exit = True
    thread.join()


def chunks(size: int) -> Iterator[bytes]:
    """A body whose length is not announced."""
    for _ in range(size // 10_000):
        yield b"x" * 10_000


def test_uploads_are_taken_until_they_fill_their_room(server: tuple[str, Path]) -> None:
    url, kept = server
    assert httpx.post(f"{url}/gradio_api/upload", content=b"x" * 60_000).json() == 60_000
    refused = httpx.post(f"{url}/gradio_api/upload", content=b"x" * 60_000)
    assert refused.status_code == 413 and "too many uploads" in refused.json()["detail"]
    assert [file.stat().st_size for file in kept.iterdir()] == [60_000]
    assert httpx.post(f"{url}/gradio_api/upload", content=b"x" * 30_000).status_code == 200
    for file in kept.iterdir():  # as the page removes what visitors left
        file.unlink()
    assert httpx.post(f"{url}/gradio_api/upload", content=b"x" * 90_000).status_code == 200


def test_a_length_that_is_not_announced_counts_as_it_comes(server: tuple[str, Path]) -> None:
    url, kept = server
    refused = httpx.post(f"{url}/gradio_api/upload", content=chunks(10 * MOST))
    assert refused.status_code == 413 and not list(kept.iterdir())
    assert httpx.post(f"{url}/gradio_api/upload", content=chunks(MOST // 2)).status_code == 200


def test_uploads_at_the_same_time_share_the_room(server: tuple[str, Path]) -> None:
    url, kept = server

    def upload(_: int) -> int:
        return httpx.post(f"{url}/gradio_api/upload", content=chunks(40_000)).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(upload, range(8)))
    assert set(codes) <= {200, 413} and 413 in codes
    total = sum(file.stat().st_size for file in kept.iterdir())
    assert total <= MOST and codes.count(200) * 40_000 == total


def test_other_requests_pass(server: tuple[str, Path]) -> None:
    url, _ = server
    assert httpx.post(f"{url}/other", content=b"x" * 2 * MOST).json() == 2 * MOST


def test_half_of_a_full_disk_is_left_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads/a").write_bytes(b"x" * 300)
    assert UploadLimit(FastAPI(), tmp_path / "uploads").measure() == (300, 800)
