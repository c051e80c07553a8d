"""Connections to a server that says it keeps them, and does not."""

from __future__ import annotations

from typing import Final

import httpx2

_ENDS_CONNECTIONS: Final = "llama.cpp"
"""llama-server answers `Keep-Alive` and closes the connection after a stream: the next request on it fails."""


class Connections:
    """Hooks of an HTTP client: a connection is used again once its server is known to be another."""

    def __init__(self) -> None:
        self._kept = False

    async def before(self, request: httpx2.Request) -> None:
        if not self._kept:
            request.headers["connection"] = "close"

    async def after(self, response: httpx2.Response) -> None:
        self._kept = response.headers.get("server") != _ENDS_CONNECTIONS
