"""Requests to a Chat Completions API: a ModelRequest as the body of a call."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from streams.core.errors import ConfigError
from streams.models.providers.openai_schema import response_format
from streams.models.providers.protocol import ModelRequest
from streams.pipeline.dialects import ALL_REQUIRED, COMPLETION_TOKENS, Capabilities, Dialect

LOGPROBS: Final = "logprobs"
"""The parameter by which a handler's confidence asks for log-probabilities."""
# What the file may set. Deliberately left out: `service_tier`, which changes the price of a call without its token
# counts showing it, `n`, of which only one reply is read, and tools, which a text reply cannot carry.
_EVERYWHERE: Final = frozenset(
    {"temperature", "top_p", "seed", "stop", "reasoning_effort", "frequency_penalty", "presence_penalty"}
)
_GRAMMAR_SERVERS: Final = frozenset({"top_k", "min_p", "chat_template_kwargs"})
_OWN: Final[Mapping[Dialect, frozenset[str]]] = {
    "openai": frozenset({"verbosity"}),
    "vllm": _GRAMMAR_SERVERS | {"repetition_penalty"},
    "ollama": frozenset(),
    "llama-server": _GRAMMAR_SERVERS | {"repeat_penalty"},
    "litellm": frozenset({"verbosity"}),
}


def chat_arguments(request: ModelRequest, dialect: Dialect, can: Capabilities) -> dict[str, Any]:
    """Return the request as the body of POST /chat/completions.

    Raises ConfigError for what the server does not take or the model cannot do.
    """
    _check(request, dialect, can)
    system = [{"role": "system", "content": request.system}] if request.system else []
    parameters = dict(request.parameters)
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [*system, {"role": "user", "content": _content(request)}],
        "max_completion_tokens" if dialect in COMPLETION_TOKENS else "max_tokens": request.max_tokens,
        **parameters,
    }
    if parameters.get(LOGPROBS) and dialect == "llama-server":
        body["top_logprobs"] = 1  # its default is 20, of which none is read
    if request.schema is not None:
        body["response_format"] = response_format(request.schema, all_required=dialect in ALL_REQUIRED)
    if can.stream:
        body["stream"] = True
        if can.stream_options:
            body["stream_options"] = {"include_usage": True}
    return body


def _content(request: ModelRequest) -> str | list[dict[str, Any]]:
    if not request.images:
        return request.prompt
    shown: list[dict[str, Any]] = []
    for image in request.images:
        url = f"data:{image.media_type};base64,{b64encode(image.data).decode()}"
        shown.append({"type": "image_url", "image_url": {"url": url}})
    return [*shown, {"type": "text", "text": request.prompt}]


def _check(request: ModelRequest, dialect: Dialect, can: Capabilities) -> None:
    allowed = (_EVERYWHERE | _OWN[dialect] | {LOGPROBS}) - (set() if can.seed else {"seed"})
    if unknown := sorted(set(request.parameters) - allowed):
        what = f"not taken by a server of dialect {dialect}: {', '.join(unknown)}."
        raise ConfigError(what, f"Remove it; allowed are {', '.join(sorted(allowed - {LOGPROBS}))}.", "parameters")
    if request.images and not can.images:
        what = f"{request.model} is not declared able to see images."
        raise ConfigError(what, "Set images = true on the model, or leave image out of the handler's inputs.", "images")
    if request.parameters.get(LOGPROBS) and not can.logprobs:
        what = f"{request.model} gives no log-probabilities."
        raise ConfigError(what, "Use another confidence, or set logprobs = true on the model if it does.", "logprobs")
    if request.schema is not None and not can.json_schema:
        what = f"{request.model} does not hold an answer to a schema."
        raise ConfigError(what, "State the schema in the prompt, or set json_schema = true.", "json_schema")
