"""Decoding in a process of its own, so that a picture can cost itself alone.

A damaged or hostile file may crash a decoder, or take all memory or time. A `Decoder` reads files
by processes with limits of each; what comes back are sizes, samples and metadata, never objects
that are unpickled. Both ends of the pipe are in this file.
"""

import base64
import contextlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lessonpipe.data.photos import MAX_PIXELS
from lessonpipe.errors import LessonpipeError, PictureError
from lessonpipe.inference.decode import Page, Source, name_of, read_pages
from lessonpipe.inference.metadata import Metadata
from lessonpipe.inference.pixels import Pixels

SECONDS = 240.0  # JPEG 2000 of `MAX_PIXELS` takes 110 on a busy machine, a JPEG 4
MEMORY = 8 * 2**30  # of address space: a page of `MAX_PIXELS` with 16 bits and alpha takes 5 GB
MAX_HEADER = 2**28  # bytes of metadata
CHUNK = 2**22  # bytes of samples that are written at a time
OUT_OF_MEMORY = 71  # the exit code of a process whose memory did not suffice
LENGTH = struct.Struct("<Q")
NEXT = b"next\n"
COMMAND = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from lessonpipe.inference.decoder import serve; serve(float(sys.argv[2]), int(sys.argv[3]))"
)


class DecodeLimitError(PictureError):
    """A picture whose decoder crashed, or took more time or memory than it may."""


class Decoder:
    """Reads pages as `read_pages` does, by processes that take limited `seconds` and `memory`.

    `seconds` are a page's, `memory` bytes a process's (where the system can limit them: not on
    Windows or macOS). Threads may share a decoder: each call has a process of its own, and those
    that ended well are used again. To be closed, or used by `with`.
    """

    def __init__(self, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.seconds, self.memory = seconds, memory
        self._idle = [self._start()]  # comes up while its owner loads a network

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        while self._idle:
            self._idle.pop().kill()

    def read_pages(
        self, source: Source, name: str | None = None, *, every: bool, truncated: bool = False
    ) -> Iterator[Page]:
        """Yield every page of a file, or the first alone: see `lessonpipe.inference.decode`.

        Raises `PictureError` for what is no picture, `DecodeLimitError` for one that takes too
        much.
        """
        name = name or name_of(source)
        request: dict[str, Any] = {"name": name, "every": every, "truncated": truncated}
        if isinstance(source, Path):
            content, request["path"] = b"", os.path.abspath(source)
        else:
            content, request["bytes"] = source.getvalue(), len(source.getbuffer())
        process = self._take()
        ended = False
        try:
            process.ask(json.dumps(request).encode() + b"\n", content)
            while True:
                with process.limited(self.seconds):
                    answer = process.answer()
                if isinstance(answer, Page):
                    yield answer
                    del answer  # while the next one is decoded, this one is its user's alone
                    process.ask(NEXT)
                    continue
                ended = True
                if answer:
                    raise PictureError(answer)
                return
        except _ProcessEndedError as error:
            raise DecodeLimitError(f"{name}: cannot be read ({self._reason(process)})") from error
        finally:
            if ended:
                self._idle.append(process)
            else:
                process.kill()

    def _take(self) -> "_Process":
        while self._idle:
            process = self._idle.pop()
            if process.is_alive():
                return process
        return self._start()

    def _start(self) -> "_Process":
        return _Process(self.seconds, self.memory)

    def _reason(self, process: "_Process") -> str:
        code = process.exit_code()
        if process.timed_out:
            return f"decoding it takes more than {self.seconds:g} s"
        if code == OUT_OF_MEMORY:
            return f"decoding it takes more than {self.memory / 2**30:.3g} GB of memory"
        ending = signal.Signals(-code).name if code < 0 else f"code {code}"
        return f"its decoder crashed: {ending}"


class _ProcessEndedError(Exception):
    """The process ended before it answered."""


class _Process:
    """The near end of the pipe."""

    def __init__(self, seconds: float, memory: int) -> None:
        root = str(Path(__file__).resolve().parents[2])
        command = [sys.executable, "-P", "-c", COMMAND, root, str(seconds), str(memory)]
        self.timed_out = False
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libtiff's warnings
            pipesize=2**20,  # fewer turns between the two ends
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def exit_code(self) -> int:
        """The code of a process whose pipe has ended: minus the number of a signal, if by one."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(5)
        return -9

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._popen.kill()
        for stream in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()
        self._popen.wait()

    def ask(self, *parts: bytes | memoryview) -> None:
        assert self._popen.stdin is not None
        try:
            for part in parts:
                self._popen.stdin.write(part)
            self._popen.stdin.flush()
        except OSError as error:
            raise _ProcessEndedError from error

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Kill the process if the block takes longer."""

        def end() -> None:
            self.timed_out = True
            self._popen.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def answer(self) -> Page | str:
        """A page, or why there is none; an empty reason after the last."""
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        if length > MAX_HEADER:
            raise _ProcessEndedError
        header = json.loads(self._read(length))
        if "error" in header:
            return str(header["error"])
        color, alpha = (self._array(shape, header["bits"]) for shape in header["shapes"])
        assert color is not None
        return Page(
            Pixels(color, alpha),
            _unpack(header["metadata"]),
            header["format"],
            header["compression"],
            header["lossless"],
            tuple(header["notes"]),
        )

    def _array(self, shape: list[int] | None, bits: int) -> np.ndarray | None:
        if shape is None:
            return None
        if shape[0] * shape[1] > MAX_PIXELS or shape[2:] not in ([], [1], [3]):
            raise _ProcessEndedError
        array = np.empty(shape, np.uint16 if bits == 16 else np.uint8)
        self._read_into(array.data.cast("B"))
        return array

    def _read(self, length: int) -> bytearray:
        content = bytearray(length)
        self._read_into(memoryview(content))
        return content

    def _read_into(self, content: memoryview) -> None:
        assert self._popen.stdout is not None
        done = 0
        while done < len(content):
            count = self._popen.stdout.readinto(content[done:])  # type: ignore[attr-defined]
            if not count:
                raise _ProcessEndedError
            done += count


def serve(seconds: float, memory: int) -> None:
    """The far end: decode what is asked for on standard input, until that is closed."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit(memory)
    with contextlib.suppress(BrokenPipeError):
        while line := requests.readline():
            _answer(json.loads(line), requests, replies, seconds)


def _limit(memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other end
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # Linux: rather this process than any
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        for kind, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
            resource.setrlimit(kind, (most, most))
        if sys.platform.startswith("linux"):
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _answer(request: dict[str, Any], requests: BinaryIO, replies: BinaryIO, seconds: float) -> None:
    # if the other end was killed, nobody else ends a decoder that hangs
    alarm = getattr(signal, "alarm", lambda _seconds: 0)
    source: Source
    if "path" in request:
        source = Path(request["path"])
    else:
        source = io.BytesIO(requests.read(request["bytes"]))
    options = {"every": request["every"], "truncated": request["truncated"]}
    error = ""
    try:
        alarm(round(seconds) + 5)
        for page in read_pages(source, request["name"], **options):
            alarm(0)
            _send_page(replies, page)
            del page
            if requests.readline() != NEXT:
                sys.exit()
            alarm(round(seconds) + 5)
    except LessonpipeError as problem:
        error = str(problem)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # what it holds is not sure to be freed
    finally:
        alarm(0)
    _send(replies, {"error": error})


def _send(replies: BinaryIO, header: dict[str, Any]) -> None:
    content = json.dumps(header).encode()
    replies.write(LENGTH.pack(len(content)) + content)
    replies.flush()


def _send_page(replies: BinaryIO, page: Page) -> None:
    arrays = (page.pixels.color, page.pixels.alpha)
    header = {
        "shapes": [None if array is None else array.shape for array in arrays],
        "bits": 8 * page.pixels.color.itemsize,
        "metadata": _pack(page.metadata),
        "format": page.format,
        "compression": page.compression,
        "lossless": page.lossless,
        "notes": page.notes,
    }
    _send(replies, header)
    for array in arrays:
        if array is not None:
            for rows in np.array_split(array, -(-array.nbytes // CHUNK)):  # a copy of all is large
                replies.write(np.ascontiguousarray(rows).data)
    replies.flush()


def _pack(metadata: Metadata) -> dict[str, Any]:
    """Metadata as JSON takes it: bytes in base64, and in pairs where they are keys."""
    fields = asdict(metadata)
    fields["png_chunks"] = [[_to_text(k), _to_text(v)] for k, v in metadata.png_chunks.items()]
    return {k: _to_text(v) if isinstance(v, bytes) else v for k, v in fields.items()}


def _unpack(fields: dict[str, Any]) -> Metadata:
    kinds = ("exif", "icc", "xmp", "iptc", "comment")
    found = {k: base64.b64decode(fields[k]) for k in kinds if fields[k] is not None}
    chunks = {base64.b64decode(k): base64.b64decode(v) for k, v in fields["png_chunks"]}
    dpi = None if fields["dpi"] is None else (fields["dpi"][0], fields["dpi"][1])
    return Metadata(**found, dpi=dpi, text=dict(fields["text"]), png_chunks=chunks)


def _to_text(content: bytes) -> str:
    return base64.b64encode(content).decode()
