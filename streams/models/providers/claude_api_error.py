"""An error that the Messages API reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An error of the API: a response with another status than 2xx, or an error event in a stream.

    `body` is the response's, or the event.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes | Mapping[str, Any]) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = _json(body) if isinstance(body, bytes) else body
        error = self.body.get("error") if isinstance(self.body, Mapping) else None
        details = error if isinstance(error, Mapping) else {}
        self.named: object = details.get("type")
        """The API's own name for the kind of error; the JSON may hold any value there."""
        self.said = str(details.get("message") or self.body or f"status {status}")


def _json(body: bytes) -> object:
    """Return an error's body as JSON, or as text where it is not."""
    text = body.decode("utf-8", "replace").strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
