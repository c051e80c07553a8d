"""Failures of a call of the Chat Completions API, translated to ModelError.

The codes are those of https://platform.openai.com/docs/guides/error-codes and of the servers that speak the API: vLLM,
Ollama, llama-server, LiteLLM and Azure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import openai

from streams.core.errors import ModelError
from streams.models.providers.failures import BY_STATUS, BY_TYPE, BY_WORDS, FOREIGN, Api, Words, by_words, translated

FOREIGN_ERRORS = (openai.OpenAIError, *FOREIGN)
"""Exceptions of the SDK, its HTTP library and the parsing of a reply."""
_BY_CODE: Final[Mapping[str, str]] = {
    # An error's code or type that says more than its status: a 429 may be a spent quota, a 400 a long prompt.
    **dict.fromkeys(
        ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "budget_exceeded",
         "account_deactivated", "invalid_api_key", "invalid_organization", "unsupported_country_region_territory"),
        "unauthorized",
    ),
    **dict.fromkeys(("model_not_found", "deploymentnotfound"), "not_found"),
    **dict.fromkeys(
        ("context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "request_too_large"),
        "too_large",
    ),
    **dict.fromkeys(
        ("content_filter", "content_policy_violation", "invalid_image", "invalid_base64_image", "invalid_image_format",
         "image_parse_error", "image_too_large", "unsupported_image_media_type"),
        "rejected",
    ),
    **dict.fromkeys(("rate_limit_exceeded", "requests", "tokens", "throttling_error"), "rate_limited"),
    **dict.fromkeys(("server_overloaded", "slow_down"), "overloaded"),
}  # fmt: skip
# OpenAI's engine under load, a model that llama-server still loads, Ollama's full queue: it passes for every event.
_BY_STATUS: Final[Mapping[int, str]] = {**BY_STATUS, 503: "overloaded"}
_BY_TYPE: Final[Mapping[str, str]] = {
    **BY_TYPE,
    "BadRequestError": "bad_request",
    "NotFoundError": "not_found",
    "server_error": "server_error",
    "unavailable_error": "overloaded",
}
_BY_WORDS: Final[Words] = (
    ("too_large", re.compile(
        r"maximum context length|context[ _]?window|exceeds? the (?:available|model'?s?) context|reduce the length"
        r"|ContextWindowExceeded|longer than the maximum model length", re.I)),
    ("rejected", re.compile(
        r"content management policy|ContentPolicyViolation|content polic|violat\w+ our|safety system|flagged as"
        r"|image input is not supported|invalid image|(?:unsupported|invalid) .{0,20}image", re.I)),
    *BY_WORDS,
)  # fmt: skip


def translate(
    error: Exception, request_id: str | None, secrets: Iterable[str], now: datetime, *, began: bool = False
) -> ModelError:
    """Return one of FOREIGN_ERRORS as a ModelError, without `secrets`; see `translated`."""
    result = translated(OPENAI, error, request_id, secrets, now, began=began)
    if isinstance(error, openai.APIStatusError) and result.error_type == "unauthorized":
        result.retryable = False  # a spent quota is a 429 like any other to a gateway that says "retry"
    return result


def _said(error: openai.APIStatusError) -> str:
    body = error.body
    words = body.get("message") if isinstance(body, Mapping) else None
    return words if isinstance(words, str) else str(body or error.message)


def _error_type(error: openai.APIStatusError, said: str) -> str:
    """Return the type by the error's code, else by the status where that is clear, else by type and message."""
    names = [named for named in _names(error) if named]
    status = _status(error, names)
    if 300 <= status < 400:
        return "bad_reply"
    if known := next((_BY_CODE[name.lower()] for name in names if name.lower() in _BY_CODE), None):
        return known
    by_type = next((_BY_TYPE[name] for name in names if name in _BY_TYPE), None)
    kind = _BY_STATUS.get(status) or by_type or ("bad_request" if 400 <= status < 500 else "server_error")
    return by_words(said, _BY_WORDS) if kind == "bad_request" else kind


def _names(error: openai.APIStatusError) -> Iterable[str]:
    """Return the error's code and type, which may be any JSON values."""
    body: Mapping[str, Any] = error.body if isinstance(error.body, Mapping) else {}
    inner = body.get("innererror")
    more = inner.get("code") if isinstance(inner, Mapping) else None  # Azure's
    return [f"{value}" for value in (body.get("code"), body.get("type"), more) if isinstance(value, str | int)]


def _status(error: openai.APIStatusError, names: Iterable[str]) -> int:
    """Return the status; of an error inside a stream, which comes after 200, the one that its code gives."""
    inside = next((int(name) for name in names if name.isdecimal() and len(name) == 3), None)
    return inside if error.status_code == 200 and inside is not None else error.status_code


OPENAI = Api(
    name="The model's server",
    id_header="x-request-id",
    status_error=openai.APIStatusError,
    connection_error=openai.APIConnectionError,
    said=_said,
    error_type=_error_type,
)
