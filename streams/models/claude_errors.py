"""What can go wrong on the way to Claude and back, as ModelError."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import anthropic
import httpx2

from streams.core.errors import ModelError

# error_type -> (retryable, remedy)
_KINDS: Mapping[str, tuple[bool, str]] = {
    "bad_request": (False, "Correct the handler's model, parameters or schema; it will fail again as it is."),
    "unauthorized": (False, "Give an API key that is valid, in credit and allowed to use this model."),
    "not_found": (False, "Check the model's name and the base URL."),
    "too_large": (False, "Shorten the prompt; the provider takes no request of this size."),
    "rate_limited": (True, "Wait, lower the handler's concurrency, or have the account's limit raised."),
    "server_error": (True, "Try again later; the fault is the provider's."),
    "overloaded": (True, "Try again later; the provider has no capacity left."),
    "timeout": (True, "Try again; if it happens often, raise the timeout or lower max_tokens."),
    "unreachable": (True, "Check the network and the base URL, then try again."),
    "bad_reply": (True, "Check that the base URL is that of a Messages API, then try again."),
}
_BY_STATUS: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    402: "unauthorized",
    403: "unauthorized",
    404: "not_found",
    408: "timeout",
    409: "server_error",
    413: "too_large",
    429: "rate_limited",
    504: "timeout",
    529: "overloaded",
}
# Errors inside a stream come after status 200, so only their own type tells them apart.
_BY_TYPE: Mapping[str, str] = {
    "invalid_request_error": "bad_request",
    "authentication_error": "unauthorized",
    "permission_error": "unauthorized",
    "billing_error": "unauthorized",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limited",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
}
_SHOULD_RETRY: Mapping[str, bool] = {"true": True, "false": False}
_LONGEST_MESSAGE = 500

FOREIGN_ERRORS = (anthropic.AnthropicError, httpx2.HTTPError, TimeoutError, ValueError, RecursionError, OverflowError)
"""What the SDK, its HTTP library and the parsing of a reply raise."""


def failure(error_type: str, what: str, request_id: str | None = None) -> ModelError:
    """A ModelError of a known type, with the remedy and the retryability of its type."""
    retryable, remedy = _KINDS[error_type]
    return ModelError(error_type, what, remedy, retryable=retryable, request_id=request_id)


def reply_too_large(most: str, request_id: str | None) -> ModelError:
    """A reply of more than `most`, of which the rest was not read."""
    what, remedy = f"Claude's reply has more than {most}.", "Lower max_tokens, or ask for less."
    return ModelError("too_large", what, remedy, retryable=False, request_id=request_id)


def translate(error: Exception, request_id: str | None, secret: str, now: datetime) -> ModelError:
    """One of FOREIGN_ERRORS as ModelError; `secret` is kept out of it, `now` turns a date into a wait."""
    match error:
        case anthropic.APIStatusError():
            return _from_status(error, secret, now)
        case TimeoutError() | anthropic.APITimeoutError() | httpx2.TimeoutException():
            return failure("timeout", "Claude did not answer in time.", request_id)
        case UnicodeEncodeError():
            return failure("bad_request", "The prompt holds characters that are not Unicode text.", request_id)
        case anthropic.APIConnectionError() | httpx2.TransportError():
            cause = type(error.__cause__ or error).__name__
            return failure("unreachable", f"The connection to Claude failed ({cause}).", request_id)
        case _:
            what = f"Claude's reply cannot be read ({type(error).__name__})."
            return failure("bad_reply", what, request_id)


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the provider asks to wait, from a number or an HTTP date; None when it names none."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _from_status(error: anthropic.APIStatusError, secret: str, now: datetime) -> ModelError:
    # A gateway may echo the key it was sent, so it is taken out before the text is cut.
    said = str(error.api_message or error.body or error.message).replace(secret, "[key]")
    what = f"Claude answered {error.status_code}: {said[:_LONGEST_MESSAGE]}"
    result = failure(_error_type(error), what, error.request_id)
    headers = error.response.headers
    result.retry_after = retry_after_seconds(headers, now)
    # The provider knows best: a spent budget is a 429 that no waiting cures.
    result.retryable = _SHOULD_RETRY.get(headers.get("x-should-retry", ""), result.retryable)
    return result


def _error_type(error: anthropic.APIStatusError) -> str:
    status = error.status_code
    if status < 300:
        named: object = error.type  # whatever the JSON holds there
        return _BY_TYPE.get(named, "server_error") if isinstance(named, str) else "server_error"
    if status < 400:
        return "bad_reply"
    return _BY_STATUS.get(status, "bad_request" if status < 500 else "server_error")
