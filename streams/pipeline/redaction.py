"""The table `[redaction]` of a pipeline file: texts that the audit must not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import re2
from pydantic import Field, field_validator, model_validator

from streams.core.fingerprint import digest
from streams.core.redaction.detectors import BUILT_IN, VERSION, Detector, whole
from streams.core.redaction.policy import RedactionPolicy, options
from streams.pipeline.files import PipelineFiles
from streams.pipeline.values import FunctionPath, Name, StrictTable

BuiltIn = Literal["key", "email", "iban", "card", "phone", "ip"]
ID_CHARACTERS = 12


class RedactionSpec(StrictTable):
    """Detectors and patterns; a text that one finds is replaced by its name in brackets."""

    name: Name = "redaction"
    """The first part of the policy's id on rows."""
    detect: tuple[BuiltIn, ...] = get_args(BuiltIn)
    patterns: dict[Name, Annotated[str, Field(min_length=1, max_length=10_000)]] = Field({}, max_length=100)
    """Regular expressions of the operator's own, by name."""
    function: FunctionPath | None = None
    """Called last, with a text; returns a text."""

    @field_validator("patterns")
    @classmethod
    def _matches_something(cls, patterns: dict[str, str]) -> dict[str, str]:
        for name, pattern in patterns.items():
            if name in BUILT_IN:
                raise ValueError(f"{name!r} is the name of a built-in detector; choose another name")
            try:
                matches_nothing = re2.compile(pattern, options()).search("")
            except re2.error as error:
                said = error.args[0].decode("utf-8", "replace") if error.args else "it is not a pattern"
                raise ValueError(f"{name}: {said}; RE2 has no look-around and no back-references") from error
            if matches_nothing:
                raise ValueError(f"{name} matches the empty text; require at least one character")
        return patterns

    @model_validator(mode="after")
    def _hides_something(self) -> RedactionSpec:
        if not (self.detect or self.patterns or self.function):
            raise ValueError("the table redacts nothing; remove it, or name a detector in detect")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """The table, resolved. The policy's id names its rules: detectors, patterns and the function's module."""

    policy: RedactionPolicy
    """Without the function, which is loaded where it runs."""
    function: str | None

    @property
    def id(self) -> str:
        return self.policy.id


def redaction_in(spec: RedactionSpec | None, source: PipelineFiles) -> Redaction | None:
    """Return the pipeline's redaction, or None. Raises ConfigError when the module of its function cannot be found."""
    if spec is None:
        return None
    module = source.module(spec.function, "redaction.function") if spec.function else b""
    wanted = tuple(name for name in BUILT_IN if name in spec.detect)
    parts = (*wanted, *(part for pair in spec.patterns.items() for part in pair), spec.function, module)
    own = (Detector(name, pattern, whole) for name, pattern in spec.patterns.items())
    policy = RedactionPolicy(
        id=f"{spec.name}-{digest(VERSION, len(wanted), *parts)[:ID_CHARACTERS]}",
        detectors=(*(BUILT_IN[name] for name in wanted), *own),
    )
    return Redaction(policy=policy, function=spec.function)
