"""Prefect's server, and a page that lets the browser in: `python -m flows.prefect_app HOST PORT`.

Prefect's own page asks for the password and keeps it in the browser's storage for its address;
`/enter#PASSWORD`, a link that is printed for the person, does the same without typing. What follows
the # is never sent to any server.
"""

import sys

import uvicorn
from fastapi import FastAPI
from prefect.server.api.server import create_app
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

PATH = "/enter"
PAGE = """<!doctype html>
<html lang=en>
<title>Prefect</title>
<script>
  localStorage.setItem("prefect-password", location.hash.slice(1));
  location.replace("/deployments");
</script>
"""


def with_entrance(app: FastAPI) -> FastAPI:
    """The server with the page at `PATH`, before the routes that take every path."""

    async def enter(request: Request) -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"Cache-Control": "no-store"})

    app.router.routes.insert(0, Route(PATH, enter))
    return app


def main(host: str, port: str) -> None:
    """Serve until interrupted."""
    app = with_entrance(create_app(final=True))
    uvicorn.run(app, host=host, port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
