"""A bound on all uploads together: one visitor's must not fill the disk for everybody."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_TOTAL = 8_000_000_000  # bytes of all uploads that are kept at a time
FREE_SHARE = 0.5  # of the disk's free space, that uploads may take at most


class UploadLimit:
    """ASGI middleware that ends an upload with 413 where the uploads in `folder` leave no room.

    Bytes count as they arrive, whatever length was announced, and all requests share one count. It
    starts from what is on the disk, and starts anew whenever an upload begins while no other is
    under way: by then Gradio has removed what visitors left.
    """

    def __init__(self, app: ASGIApp, folder: Path, most: int = MAX_TOTAL) -> None:
        self.app, self.folder, self.most = app, folder, most
        self.used, self.limit, self.under_way = 0, 0, 0
        self.starting = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, an upload's body through the count."""
        is_upload = scope["type"] == "http" and scope["path"].rstrip("/").endswith("/upload")
        if not is_upload:
            await self.app(scope, receive, send)
            return

        async def counted() -> Message:
            message = await receive()
            self.used += len(message.get("body", b""))
            if self.used > self.limit:
                raise HTTPException(413, "too many uploads at the moment; try again later")
            return message

        async with self.starting:
            if not self.under_way:
                self.used, self.limit = await asyncio.to_thread(self.measure)
            self.under_way += 1
        try:
            await self.app(scope, counted, send)
        finally:
            self.under_way -= 1

    def measure(self) -> tuple[int, int]:
        """The bytes that uploads take now, and how many they may take."""
        kept = 0
        for file in self.folder.rglob("*"):
            with suppress(OSError):  # removed in between
                kept += file.stat().st_size if file.is_file() else 0
        free = shutil.disk_usage(self.folder.parent).free
        return kept, min(self.most, kept + int(free * FREE_SHARE))
