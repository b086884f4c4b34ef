"""A Prefect server for this folder: on this machine only, its database in `.lessonpipe`.

Who has the folder's password may use it, and nobody else: neither another user of the machine nor a
page of another origin that is open in the browser.
"""

import base64
import http.client
import os
import re
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from lessonpipe.errors import LessonpipeError, UserError
from tasks.pipeline import child_process
from tasks.pipeline.lock import STATE_DIR

HOME = STATE_DIR / "prefect"
DATABASE = HOME / "prefect.db"
PASSWORD = HOME / "password"  # NAME:SECRET, as HTTP's basic authentication takes it
PRIVATE = 0o077  # the umask of what only this user may read
DATABASE_FAULTS = {  # by what the server's log says of them; locked or full is no fault of its own
    r"alembic\.util\.exc\.CommandError: (.+)": "of another version of Prefect",
    r"\(sqlite3\.OperationalError\) ((?:no such|duplicate|table|index) .+)": "half made",
    r"\(sqlite3\.DatabaseError\) (.+)": "damaged",
}
START_SECONDS = 90  # a first start makes the database


def environment() -> dict[str, str]:
    """Prefect's settings, needed before it is imported: its home is here, and telemetry is off."""
    return {
        "PREFECT_HOME": str(HOME.resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "3",  # seconds until a run starts
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
    }


def client_environment(url: str) -> dict[str, str]:
    """Prefect's settings for a client of this folder's server at `url`."""
    return {"PREFECT_API_URL": f"{url}/api", "PREFECT_API_AUTH_STRING": password()}


def password() -> str:
    """This folder's password, made at the first call."""
    HOME.mkdir(parents=True, exist_ok=True)
    HOME.chmod(0o700)
    if not PASSWORD.exists():
        draft = HOME / f"password.{os.getpid()}"
        with _open_private(draft) as file:
            file.write(f"lessonpipe:{secrets.token_urlsafe(24)}")
        with suppress(FileExistsError):
            os.link(draft, PASSWORD)  # whole, or another process's
        draft.unlink()
    return PASSWORD.read_text().strip()


def credentials() -> tuple[str, str]:
    """The password as name and secret."""
    name, _, secret = password().partition(":")
    return name, secret


def entrance(url: str) -> str:
    """The address that lets a browser into the server at `url`."""
    return f"{url}/enter#{base64.b64encode(password().encode()).decode()}"


def running() -> str | None:
    """Return the address of the server that `python -m flows ui` runs in this folder, if any."""
    try:
        url = (HOME / "address").read_text()
    except (OSError, ValueError):
        return None
    return url if _healthy(url) else None


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0, *, known: bool = False) -> Iterator[str]:
    """Run a server for the block and yield its address; port 0 takes a free one.

    `running()` finds a `known` server. Raises `UserError` when the port is taken or the database
    cannot be used, and `LessonpipeError` when the server does not start.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    _check_database()
    port = _free_port(host, port)
    url = f"http://{host}:{port}"
    log = HOME / "server.log"
    command = [sys.executable, "-m", "flows.prefect_app", host, str(port)]
    env = os.environ | environment() | _server_environment(url)
    if DATABASE.exists():  # of before it was private
        DATABASE.chmod(0o600)
    with _open_private(log) as out:
        server = child_process.start(command, env=env, grace=10, out=out, umask=PRIVATE)
    address = HOME / "address"
    try:
        _wait_until_healthy(server, url, log)
        if known:
            with _open_private(address) as file:
                file.write(url)
        yield url
    finally:
        if known:
            address.unlink(missing_ok=True)
        child_process.stop(server, grace=10)


def _server_environment(url: str) -> dict[str, str]:
    """A server's settings: a password, no other origin, tokens against forged requests."""
    return client_environment(url) | {
        "PREFECT_SERVER_API_AUTH_STRING": password(),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_UI_API_URL": "/api",  # relative: any host name will do
    }


def _open_private(path: Path) -> IO[str]:
    """A new file that only this user may read, in place of what was there."""
    path.unlink(missing_ok=True)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def _free_port(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"port {port} on {host} cannot be had ({error.strerror}); "
                f"end what uses it, or choose another: python -m flows ui --port {port + 1}"
            ) from error
        return int(probe.getsockname()[1])


def _wait_until_healthy(server: "subprocess.Popen[str]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _healthy(url):
        if server.poll() is not None or time.monotonic() > deadline:
            text = log.read_text(errors="replace")
            for pattern, fault in DATABASE_FAULTS.items():
                if reason := re.search(pattern, text):
                    raise _database_error(f"{fault} ({reason[1]})")
            errors = re.findall(r"(?m)^[\w.]*(?:Error|Exception)\b.*$", text)
            last = (errors or text.strip().splitlines() or ["it is empty"])[-1]
            raise LessonpipeError(f"Prefect's server did not start; {log} ends: {last}")
        time.sleep(0.2)


def _check_database() -> None:
    """Raise `UserError` when the database is damaged; a server might start with it all the same."""
    if not DATABASE.exists():
        return
    try:
        with closing(
            sqlite3.connect(f"{DATABASE.absolute().as_uri()}?mode=ro", uri=True)
        ) as opened:
            found = opened.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError:
        return  # locked, say: Prefect will tell
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise _database_error(f"damaged ({' '.join(found.split())})")


def _database_error(fault: str) -> UserError:
    return UserError(
        f"Prefect's database {DATABASE} is {fault}; it holds the history of runs, and no models: "
        f"`mv {HOME} {HOME}-old` and run again"
    )


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=2) as response:  # noqa: S310
            return response.status == 200
    except (OSError, ValueError, http.client.HTTPException):  # no server, no address, not Prefect
        return False
