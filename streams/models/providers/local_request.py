"""Requests to a local model: a ModelRequest as the body of llama.cpp's chat completion."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from streams.models.providers.local_grammar import bad_request, grammar
from streams.models.providers.protocol import ModelRequest

PARAMETERS: Final[Mapping[str, tuple[type, float, float]]] = {
    # name: its type, the smallest and the largest value
    "temperature": (float, 0.0, 2.0),
    "top_p": (float, 0.0, 1.0),
    "min_p": (float, 0.0, 1.0),
    "top_k": (int, 0, 1_000),
    "repeat_penalty": (float, 0.0, 2.0),
    "seed": (int, 0, 2**32 - 2),
}
DEFAULTS: Final[Mapping[str, float]] = {"temperature": 0.0, "seed": 0}
CONTROL_TOKEN: Final = re.compile(r"<\|(\w+)\|>")


def completion_body(request: ModelRequest) -> dict[str, Any]:
    """Return the body of the chat completion. Raises ModelError for a request that llama.cpp cannot take."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    prompt = CONTROL_TOKEN.sub(r"<| \1 |>", request.prompt)
    body: dict[str, Any] = {
        "messages": [*system, {"role": "user", "content": prompt}],
        "max_tokens": request.max_tokens,
        "logprobs": True,
        "top_logprobs": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        **DEFAULTS,
        **_parameters(request.parameters),
    }
    if request.max_tokens < 1:
        raise bad_request("max_tokens must be 1 or more")
    if any("\ud800" <= character <= "\udfff" for character in request.system + request.prompt):
        raise bad_request("the prompt holds a surrogate, which is not a character")
    if request.schema is not None:
        body["grammar"] = grammar(json.dumps(dict(request.schema)))
    return body


def _parameters(given: Mapping[str, Any]) -> dict[str, float]:
    for name, value in given.items():
        if name not in PARAMETERS:
            raise bad_request(f"a local model has no parameter {name}; it has {', '.join(PARAMETERS)}")
        kind, least, greatest = PARAMETERS[name]
        fits = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not fits or not least <= value <= greatest:
            wanted = f"{kind.__name__} from {least} to {greatest}"
            raise bad_request(f"{name} is {value!r}; it must be of type {wanted}")
    return dict(given)
