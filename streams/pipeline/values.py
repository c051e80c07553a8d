"""The types of values in a pipeline file: durations, names, probabilities, paths to functions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)")


def seconds(value: Any) -> Any:
    """Return `"30s"`, `"12h"` or `"7d"` in seconds; numbers are seconds already."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError('write a duration as a number with a unit, for example "30s", "5m", "12h" or "7d"')
        return float(match["number"]) * _UNITS[match["unit"]]
    return value


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=100 * 365 * 86400.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Probability = Annotated[float, Field(ge=0, le=1)]
_FUNCTION = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
FunctionPath = Annotated[str, Field(pattern=_FUNCTION)]
Input = Literal["text", "data", "image"]
CachePolicy = Literal["shared", "own", "off"]
"""`shared`: an answer serves other events with the same input; `own`: only its own event; `off`: none."""


def one_or_more(value: Any) -> Any:
    """Return a list, or its single item in a list; `"none"` is an empty list."""
    if isinstance(value, str):
        return () if value == "none" else (value,)
    return value


def named_or_function(*names: str) -> AfterValidator:
    """Check for one of some names or the path of a function. A union would give one message for each of its parts."""

    def check(value: str) -> str:
        if value not in names and not re.fullmatch(_FUNCTION, value):
            listed = ", ".join(f'"{name}"' for name in names)
            raise ValueError(f'{value!r:.100} is neither one of {listed} nor a function as "package.module:function"')
        return value

    return AfterValidator(check)


ConfidenceSource = Literal["verbalized", "logprob", "self-consistency", "verifier"]
Confidence = Annotated[
    tuple[Annotated[str, named_or_function(*get_args(ConfidenceSource))], ...], BeforeValidator(one_or_more)
]


class StrictTable(BaseModel):
    """A table in which unknown keys are errors, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), populate_by_name=True)
