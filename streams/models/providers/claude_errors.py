"""Failures of a call to Claude, translated to ModelError."""

from __future__ import annotations

import anthropic

from streams.models.providers.failures import BY_STATUS, BY_TYPE, FOREIGN, Api, by_words

FOREIGN_ERRORS = (anthropic.AnthropicError, *FOREIGN)
"""Exceptions of the SDK, its HTTP library and the parsing of a reply."""


def _said(error: anthropic.APIStatusError) -> str:
    return str(error.api_message or error.body or error.message)


def _error_type(error: anthropic.APIStatusError, said: str) -> str:
    """Return the type by the status where that is clear, else by the error's own type, else by its message."""
    status, named = error.status_code, error.type  # the JSON may hold any value there
    if 300 <= status < 400:
        return "bad_reply"
    by_type = BY_TYPE.get(named) if isinstance(named, str) else None
    kind = BY_STATUS.get(status) or by_type or ("bad_request" if 400 <= status < 500 else "server_error")
    return by_words(said) if kind == "bad_request" else kind


CLAUDE = Api(
    name="Claude",
    id_header="request-id",
    status_error=anthropic.APIStatusError,
    connection_error=anthropic.APIConnectionError,
    said=_said,
    error_type=_error_type,
)
