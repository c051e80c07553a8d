"""Failures of a call over HTTP, translated to ModelError by the rules that all providers share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import httpx2

from streams.core.errors import ModelError
from streams.core.process_fault import causes

Words = tuple[tuple[str, re.Pattern[str]], ...]
"""Error types, each with the words of a message that mean it; the first match counts."""

# error_type -> (retryable, remedy)
_KINDS: Mapping[str, tuple[bool, str]] = {
    "bad_request": (False, "Correct the handler's model, parameters or schema; it will fail again as it is."),
    "unauthorized": (False, "Give an API key that is valid, in credit and allowed to use this model from here."),
    "not_found": (False, "Check the model's name and the base URL."),
    "too_large": (False, "Shorten the prompt; the provider takes no request of this size."),
    "rejected": (False, "Change what the event holds; the provider does not take this content."),
    "rate_limited": (True, "Wait, lower the handler's concurrency, or have the account's limit raised."),
    "server_error": (True, "Try again later; the fault is the provider's."),
    "overloaded": (True, "Try again later; the provider has no capacity left."),
    "timeout": (True, "Try again; if it happens often, raise the timeout or lower max_tokens."),
    "unreachable": (True, "Check the network and the base URL, then try again."),
    "bad_reply": (True, "Check that the base URL is that of the API, then try again."),
}
# Not here: 400 and 422, for which the words count, and 413, which without the API's own type comes from a proxy.
BY_STATUS: Mapping[int, str] = {
    401: "unauthorized",
    402: "unauthorized",
    403: "unauthorized",
    404: "not_found",
    405: "not_found",
    407: "unauthorized",
    408: "timeout",
    409: "server_error",
    410: "not_found",
    421: "not_found",
    429: "rate_limited",
    451: "unauthorized",
    504: "timeout",
    511: "unauthorized",
    529: "overloaded",
}
# Timeouts of a gateway: the model may have answered the request, and then it is billed. No other error is billed.
_MAYBE_BILLED = frozenset({408, 504, 524})
# Errors inside a stream come after status 200, so only their own type distinguishes them.
BY_TYPE: Mapping[str, str] = {
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
# An "invalid request" may be the event's fault or the account's: only its message shows which. The first match counts.
# Taken from Anthropic's page of errors, from bug reports, and from the words that gateways put in their place.
BY_WORDS: Words = tuple(
    (error_type, re.compile("|".join(words), re.I))
    for error_type, words in (
        ("rejected", (r"^messages[.:\[]",)),  # first, because it may quote an event that mentions payments and keys
        ("unauthorized", (
            r"(?:more|out of|no) (?:credit|extra usage)",
            r"credit balance|insufficient[ _](?:credit|fund|balance|quota)|payment|billing",
            r"usage limit|spend(?:ing)? limit|budget has been exceeded|exceeded .{0,40}\bbudget|exceeded .{0,40}quota",
            r"(?:organi[sz]ation|account|workspace|key) (?:has been|is|was) (?:disabled|suspended|blocked|deactivated)",
            r"no connected db",  # a LiteLLM proxy without a database, of any key but its own
            r"x-api-key|api[ _-]?key|access key|security token|request signature",
            r"(?:invalid|expired|missing) (?:\w+ )?(?:token|credential)",
            r"authenticat|unauthori[sz]ed|not authori[sz]ed|permission|access (?:is )?denied|not have access|forbidden",
            r"(?:country|region|territory|location)\b.{0,60}\b(?:supported|allowed|available)",
            r"not (?:supported|allowed|available) (?:in|from) (?:your|this) (?:country|region|territory|location)",
        )),
        ("rate_limited", (r"throttl|rate[ _-]?limit|too many requests|please wait|tokens per (?:minute|hour|day)",)),
        ("not_found", (
            r"^model\b|\b(?:invalid|unknown|unsupported|no such) model\b",
            r"\bmodel\b.{0,80}\b(?:not (?:found|exist|supported|available)|deprecated|retired|invalid|identifier)",
        )),
        ("too_large", (
            r"(?:prompt|input|request|message)s? (?:is|are) too (?:long|large)|too many (?:input |prompt )?tokens",
            r"context (?:window|length|limit|size)|input length and",
        )),
        ("rejected", (
            r"text content blocks|content (?:block|filter|polic|moderation)",
            r"(?:could not|cannot|unable to) process (?:the )?(?:image|document|pdf|file|input)",
            r"image (?:exceeds|dimensions)|surrogate|invalid (?:unicode|utf-8)",
        )),
    )
)  # fmt: skip
_SHOULD_RETRY: Mapping[str, bool] = {"true": True, "false": False}
_LONGEST_MESSAGE = 500
SHORTEST_SECRET = 6
"""Characters; the placeholder for a server without a key is shorter, and occurs in ordinary words."""

FOREIGN = (httpx2.HTTPError, OSError, ValueError, RecursionError, OverflowError)
"""Exceptions of the HTTP library and of the parsing of a reply. A TimeoutError is an OSError."""
_NEVER_ARRIVED = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The form in which an API and its SDK report errors."""

    name: str
    """Its name in messages."""
    id_header: str
    """The response's header with the id of the request."""
    status_error: type[Exception]
    """The SDK's exception for an error response; it has `status_code`, `response` and `request_id`."""
    connection_error: type[Exception]
    said: Callable[[Any], str]
    """The words of a status_error."""
    error_type: Callable[[Any, str], str]
    """The error type of a status_error with these words."""


def failure(error_type: str, what: str, request_id: str | None = None, *, unbilled: bool = False) -> ModelError:
    """Return a ModelError of a known type, with the remedy and the retryability of its type."""
    retryable, remedy = _KINDS[error_type]
    return ModelError(error_type, what, remedy, retryable=retryable, request_id=request_id, unbilled=unbilled)


def reply_too_large(name: str, most: str, request_id: str | None) -> ModelError:
    """Return the error for a reply of more than `most`, of which the rest was not read."""
    what, remedy = f"{name}'s reply has more than {most}.", "Lower max_tokens, or ask for less."
    return ModelError("too_large", what, remedy, retryable=False, request_id=request_id)


def translated(
    api: Api, error: Exception, request_id: str | None, secrets: Iterable[str], now: datetime, *, began: bool = False
) -> ModelError:
    """Return one of FOREIGN, or an exception of the SDK, as a ModelError without `secrets`.

    `now` turns a date into a wait. `began` is true if a part of the reply came before it.
    """
    if isinstance(error, api.status_error):
        return _from_status(api, error, secrets, now, began=began)
    match error:
        case TimeoutError():
            return failure("timeout", f"{api.name} did not answer in time.", request_id)
        case UnicodeEncodeError():
            what = "The prompt holds characters that are not Unicode text."
            return failure("rejected", what, request_id, unbilled=True)
        case _ if isinstance(error, (api.connection_error, httpx2.HTTPError, OSError)):
            # httpx2 has one name for a connection that was not made and for one that broke, aiohttp has two.
            cause = next((one for one in causes(error) if isinstance(one, aiohttp.ClientError)), error)
            what = f"The connection to {api.name} failed ({type(cause).__name__})."
            return failure("unreachable", what, request_id, unbilled=isinstance(cause, _NEVER_ARRIVED))
        case _:
            what = f"{api.name}'s reply cannot be read ({type(error).__name__})."
            return failure("bad_reply", what, request_id)


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that the provider asks to wait, from a number or an HTTP date; None without either."""
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


def _from_status(api: Api, error: Any, secrets: Iterable[str], now: datetime, *, began: bool) -> ModelError:
    # A gateway may echo the key it was sent, so it is taken out before the text is cut.
    said = api.said(error)
    for secret in secrets:
        said = said.replace(secret, "[key]") if len(secret) >= SHORTEST_SECRET else said
    what = f"{api.name} answered {error.status_code}: {said[:_LONGEST_MESSAGE]}"
    result = failure(api.error_type(error, said), what, error.request_id)
    headers = error.response.headers
    result.retry_after = retry_after_seconds(headers, now)
    # The provider decides: a 429 for a spent budget does not pass.
    result.retryable = _SHOULD_RETRY.get(headers.get("x-should-retry", ""), result.retryable)
    result.unbilled = not began and result.error_type != "timeout" and error.status_code not in _MAYBE_BILLED
    return result


def by_words(said: str, words: Words = BY_WORDS) -> str:
    """Return the type of an invalid request by its message."""
    return next((fault for fault, pattern in words if pattern.search(said, 0, _LONGEST_MESSAGE)), "bad_request")
