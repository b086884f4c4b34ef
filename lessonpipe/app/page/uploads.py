"""A bound on all uploads together: one visitor's must not fill the disk for everybody."""

import shutil
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_TOTAL = 8_000_000_000  # bytes of all uploads that are kept at a time
FREE_SHARE = 0.5  # of the disk's free space, that uploads may take at most


class UploadLimit:
    """ASGI middleware that ends an upload with 413 where the uploads in `folder` leave no room.

    What is being received counts as it comes, whatever length it announced.
    """

    def __init__(self, app: ASGIApp, folder: Path, most: int = MAX_TOTAL) -> None:
        self.app, self.folder, self.most = app, folder, most
        self.arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, an upload's body through the count."""
        is_upload = scope["type"] == "http" and scope["path"].rstrip("/").endswith("/upload")
        if not is_upload:
            await self.app(scope, receive, send)
            return
        room = self.room()
        own = 0

        async def counted() -> Message:
            nonlocal own
            message = await receive()
            size = len(message.get("body", b""))
            own += size
            self.arriving += size
            if self.arriving > room:
                raise HTTPException(413, "too many uploads at the moment; try again later")
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.arriving -= own

    def room(self) -> int:
        """How many bytes may still come."""
        self.folder.mkdir(parents=True, exist_ok=True)
        used = sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())
        free = shutil.disk_usage(self.folder).free
        return min(self.most - used, int(free * FREE_SHARE))
