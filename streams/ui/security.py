"""Protection of all pages: hosts, origins, sizes and headers, around the application."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES: Final = 64 * 1024
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Under `no-referrer` browsers send `Origin: null` with forms, which the check of the origin would refuse.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def allowed_hosts(host: str, port: int, url: str) -> frozenset[str]:
    """Return the values of the header Host that the server answers: its own addresses, and that of `url`."""
    own = {"127.0.0.1", "localhost", f"[{host}]" if ":" in host else host} - {"0.0.0.0", "[::]"}  # noqa: S104
    hosts = {f"{one}:{port}" for one in own} | (own if port == 80 else set())
    return frozenset(hosts | ({_netloc(url)} if url else set()))


@dataclass(frozen=True, slots=True)
class Protected:
    """An ASGI application that refuses foreign hosts and origins and large bodies, and sets HEADERS.

    The check of Host stops DNS rebinding: another site's name that points to this server. Every POST must come from
    one of its own pages, by Origin.
    """

    app: ASGIApp
    hosts: Collection[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refusal := self._refusal(scope["method"], headers):
            await refusal(scope, receive, _with_headers(send))
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY_BYTES:
                raise HTTPException(413)
            return message

        await self.app(scope, limited, _with_headers(send))

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        if headers.get("host", "").lower() not in self.hosts:
            return PlainTextResponse("This address is not served here. Set ESCALON_UI_URL to the one in use.\n", 421)
        if method not in ("GET", "HEAD") and _netloc(headers.get("origin", "")) not in self.hosts:
            return PlainTextResponse("The request does not come from a page of this server.\n", 403)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES:
            return PlainTextResponse("Too large.\n", 413)
        return None


def _netloc(address: str) -> str:
    """Return an address's host and port as browsers send them: without the scheme's usual port."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return parts.netloc.lower().removesuffix({"https": ":443", "http": ":80"}.get(parts.scheme, ""))


def _with_headers(send: Send, more: Iterable[tuple[str, str]] = tuple(HEADERS.items())) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in more:
                headers.setdefault(name, value)
        await send(message)

    return sending
