"""The options of an SDK's client, the checks of its key and address, and the reading of its streams, for any vendor."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from typing import Any, Final

import httpx2

from streams.core.address import is_http
from streams.core.errors import ConfigError, ModelError
from streams.models.providers.connections import Connections
from streams.models.providers.failures import Api
from streams.models.providers.response_bounds import MAX_STREAM, UNCOMPRESSED, bound

MOST_SECONDS_AFTER_END: Final = 1.0
"""For a gateway that keeps a connection open after the last event of a reply."""
_BODY: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""Encode a request's body with the settings of the SDKs."""


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return a request's body. Raises UnicodeEncodeError for text that is not Unicode."""
    return _BODY.encode(body).encode()


def options_of(api: Api, http_client: Callable[..., Any], most: int = MAX_STREAM) -> dict[str, Any]:
    """Return the options of an SDK's client: its own retries and time limits are off.

    `http_client` is the SDK's DefaultAioHttpClient, `most` the largest response in bytes.
    """
    connections = Connections()
    return {
        "max_retries": 0,
        "timeout": None,  # a call has one for its whole length
        "http_client": http_client(
            limits=httpx2.Limits(max_connections=0),  # none to aiohttp: a call in the queue would spend its timeout
            follow_redirects=False,  # a redirect would carry the prompt to another host
            headers=UNCOMPRESSED,
            event_hooks={
                "request": [connections.before],
                "response": [connections.after, partial(bound, api=api, most=most)],
            },
        ),
    }


def checked_key(api_key: str, variable: str, whose: str = "Claude") -> str:
    """Return a key that may be sent. Raises ConfigError, which names the variable that it comes from."""
    # Checked here because an HTTP library that meets such a key quotes it in its own error.
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        what = f"the {whose} API key is empty or holds characters that no key has."
        raise ConfigError(what, f"Set {variable} to the key alone, without spaces or line ends.")
    return api_key


def checked_url(base_url: str, whose: str = "Claude", example: str = "https://api.anthropic.com") -> str:
    """Return the address of an API. Raises ConfigError."""
    if not is_http(base_url):
        raise ConfigError(f"the {whose} base URL is not an http(s) URL.", f"Write it like {example}.")
    return base_url


async def read_events(
    events: AsyncGenerator[Mapping[str, Any]],
    take: Callable[[Mapping[str, Any]], bool],
    foreign: tuple[type[Exception], ...],
) -> None:
    """Pass events to `take` until it returns true, at the reply's end.

    The rest is read so that the connection can be used again; errors there, of the types `foreign`, do not matter.
    """
    async with contextlib.aclosing(events):
        async for event in events:
            if take(event):
                break
        with contextlib.suppress(*foreign, ModelError):
            async with asyncio.timeout(MOST_SECONDS_AFTER_END):
                async for _ in events:
                    pass
