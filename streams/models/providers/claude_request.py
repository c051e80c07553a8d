"""Requests to Claude: a ModelRequest as the body of a call of the Messages API."""

from __future__ import annotations

import base64
from typing import Any

from streams.core.errors import ConfigError
from streams.models.providers.claude_schema import strict_schema
from streams.models.providers.protocol import ModelRequest

# What the caller may set. Deliberately left out: `service_tier`, `speed` and `inference_geo`, which change the
# price of a call without its token counts showing it, and tools, which a text reply cannot carry.
_TOP_LEVEL = frozenset({"thinking", "stop_sequences", "metadata"})
_OUTPUT_CONFIG = frozenset({"effort"})


def message_arguments(request: ModelRequest) -> dict[str, Any]:
    """Return the request as arguments of the Messages API. Raises ConfigError for what the API does not take."""
    if unknown := sorted(set(request.parameters) - _TOP_LEVEL - _OUTPUT_CONFIG):
        allowed = ", ".join(sorted(_TOP_LEVEL | _OUTPUT_CONFIG))
        what = f"not taken by Claude: {', '.join(unknown)}."
        raise ConfigError(what, f"Remove it; allowed are {allowed}.", "parameters")
    arguments: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": [{"role": "user", "content": _content(request)}],
    }
    if request.system:
        cached = {"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}
        arguments["system"] = [cached]
    output = {name: value for name, value in request.parameters.items() if name in _OUTPUT_CONFIG}
    if request.schema is not None:
        output["format"] = {"type": "json_schema", "schema": strict_schema(request.schema)}
    if output:
        arguments["output_config"] = output
    return arguments | {name: value for name, value in request.parameters.items() if name in _TOP_LEVEL}


def _content(request: ModelRequest) -> str | list[dict[str, Any]]:
    """Return the prompt, after the images if there are any: Claude reads them best so."""
    if not request.images:
        return request.prompt
    shown = [(one.media_type, base64.b64encode(one.data).decode("ascii")) for one in request.images]
    blocks = [{"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}} for kind, data in shown]
    return [*blocks, {"type": "text", "text": request.prompt}]
