"""Folders of the visitors' results: each of its own, gone when the visitor is."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import gradio as gr


class Visitors:
    """Makes folders below `root`, by the session that a browser's tab is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._left: set[str] = set()

    @contextmanager
    def folder(self, request: gr.Request) -> Iterator[Path]:
        """A new folder for a run, which stays after the block for downloads, until the next run.

        If the visitor leaves during the block, it is removed at its end.
        """
        place = self._place(request)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            yield Path(tempfile.mkdtemp(dir=place))
        finally:
            if place.name in self._left:
                shutil.rmtree(place, ignore_errors=True)

    def leave(self, request: gr.Request) -> None:
        """Remove what a visitor has here."""
        place = self._place(request)
        self._left.add(place.name)
        shutil.rmtree(place, ignore_errors=True)

    def _place(self, request: gr.Request) -> Path:
        # hashed: a browser may call its session what it likes, also ../..
        return self.root / sha256(str(request.session_hash).encode()).hexdigest()
