"""A pipeline's redaction, with its function loaded and its first error logged."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from streams.calling.python_function import load_function
from streams.core.errors import ConfigError
from streams.core.redaction.fields import redacted_row
from streams.core.redaction.policy import RedactionPolicy
from streams.pipeline.load import Pipeline

log = logging.getLogger("escalon.redaction")


def redaction_policy(pipeline: Pipeline) -> RedactionPolicy | None:
    """Return the policy; None without [redaction]. Raises ConfigError if its function cannot be loaded."""
    asked = pipeline.redaction
    if asked is None:
        return None
    function = load_function(asked.function) if asked.function else None
    if iscoroutinefunction(function):
        raise ConfigError(
            f"{asked.function} is asynchronous.", "Give a plain function from a text to a text.", "redaction.function"
        )
    return dataclasses.replace(asked.policy, function=function, report=_once())


def row_redactor(pipeline: Pipeline | None) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Return the function that redacts a row of a table; without redaction it changes nothing."""
    from streams.sink.batch import unchanged

    policy = redaction_policy(pipeline) if pipeline is not None else None
    return unchanged if policy is None else partial(_prepared, policy)


def _prepared(policy: RedactionPolicy, table: str, row: dict[str, Any]) -> dict[str, Any]:
    return redacted_row(table, row, policy)


def _once() -> Callable[[Exception], None]:
    """Return a function that logs the class of the first error; its message may contain what was to be hidden."""
    logged = False

    def report(error: Exception) -> None:
        nonlocal logged
        if not logged:
            logged = True
            log.error("redaction failed (%s); texts that it fails on are withheld from the audit", type(error).__name__)

    return report
