"""Mistakes in a pipeline file as errors with the dotted key and the remedy."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from streams.core.errors import ConfigError
from streams.pipeline import spec as s


def as_config_error(error: ValidationError) -> ConfigError:
    """Return all of pydantic's findings as one error; the first one gives its key."""
    problems = [_problem(item) for item in error.errors(include_url=False)]
    first = problems[0]
    more = "".join(f"\n{problem}" for problem in problems[1:])
    return ConfigError(first.what, f"{first.remedy}{more}", first.key)


_REMEDIES = {
    "missing": "Add it.",
    "union_tag_not_found": "Add it; docs/pipeline.md lists the kinds.",
    "too_short": "Add more.",
}


def _problem(error: Any) -> ConfigError:
    location = [str(part) for part in error["loc"]]
    if location and location[0] in ("listeners", "models") and len(location) > 2:
        del location[2]  # the union's tag, not a key of the file
    if location and location[-1] == "[key]":
        location.pop()  # pydantic's mark for a wrong table name
    if error["type"].startswith("union_tag"):
        location.append(str(error["ctx"]["discriminator"]).strip("'"))
    remedy = _REMEDIES.get(error["type"], "")
    if error["type"] == "extra_forbidden":
        return ConfigError("unknown key.", _closest(location[-1]), ".".join(location))
    what = str(error["msg"]).removeprefix("Value error, ")
    return ConfigError(f"{what}.", remedy, ".".join(location))


def _closest(key: str) -> str:
    models = [value for value in vars(s).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    known = {field.alias or name for model in models for name, field in model.model_fields.items()}
    near = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else "Remove it; docs/pipeline.md lists the keys."


def known(names: Any, what: str) -> str:
    """Return the remedy for an unknown name."""
    listed = ", ".join(names)
    return f"Use one of: {listed}." if listed else f"Add {what} to the file."
