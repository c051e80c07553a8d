"""A schema in the prompt, for a model that its server does not hold to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_FENCE: Final = re.compile(r"\s*```(?:json)?[ \t]*\n(?P<inside>.*)\n[ \t]*```\s*", re.S | re.I)


def stated(schema: Mapping[str, Any]) -> str:
    """Return the instruction that asks for an answer of this schema, to stand at the end of the system prompt."""
    return (
        "Reply with one JSON value that is valid under the following JSON Schema, and with nothing else: "
        "no words before or after it, no code fence.\n" + json.dumps(schema, ensure_ascii=False)
    )


def unfenced(text: str) -> str:
    """Return what is inside a code fence around the whole text, which many models write all the same."""
    found = _FENCE.fullmatch(text)
    return found["inside"] if found else text
