"""The page of a run with a model behind it: the report's files, and the routes of the server.

It is for this machine alone. A page of another site that reaches it under a name of its own is
refused by that name.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from skiploop.server.app import make_app
from skiploop.server.service import Service

HOST = "127.0.0.1"


def make_studio(service: Service, files: Mapping[str, str]) -> FastAPI:
    """Return the application of a server that shows some files, `index.html` first."""
    app = make_app(service)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.get("/")
    async def index() -> Response:
        return _file("index.html", files["index.html"])

    for name, text in files.items():
        app.add_api_route(f"/{name}", _giver(name, text), methods=["GET"])
    return app


def _giver(name: str, text: str) -> Callable[[], Awaitable[Response]]:
    async def give() -> Response:
        return _file(name, text)

    return give


def _file(name: str, text: str) -> Response:
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    return Response(text, media_type=kind, headers={"cache-control": "no-store"})
