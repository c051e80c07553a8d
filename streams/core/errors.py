"""The family of exceptions. Each states what broke, whose fault it is, and the remedy.

A refusal, a low confidence and an answer that breaks its schema are values, never exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

OPERATOR_FAULTS = frozenset({"unauthorized", "not_found"})
"""Error types of a model that the operator must correct: account, key, credit, the model's name, the address."""
OUTAGES = OPERATOR_FAULTS | {"rate_limited", "overloaded", "circuit_open"}
"""Error types of a model that concern every call alike, so no event may end because of them."""
PROVIDER_FAULTS = OUTAGES | {"server_error", "timeout", "unreachable", "bad_reply"}
"""Error types of a model that may not concern the task: another model, or a later call, may answer it."""
NOT_CALLED = frozenset({"circuit_open", "deadline"})
"""Error types of attempts without a call."""
IMAGE_FAULTS = frozenset({"missing_image", "not_an_image", "image_too_large"})
"""Error types of attempts without a call, because the model cannot be shown the event's image. The event's fault."""

Fault = Literal["operator", "producer", "provider", "handler", "infrastructure"]

DEAD_LETTER_LIMIT_EXIT: Final = 3
"""The exit code of a process at its limit on dead letters. A restart without a fix only makes more of them."""


class EscalonError(Exception):
    """Something is broken: `what` states it, `remedy` says what to do about it."""

    fault: ClassVar[Fault] = "infrastructure"

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


HANDLER_GONE: Final = (
    "Put it back and retry the dead letters, or send their events through today's pipeline:"
    " escalon dead-letters retry --from events."
)
"""The remedy for a message routed to a handler that the pipeline no longer has."""


class ConfigError(EscalonError):
    """The pipeline file, a file it names, or a setting is wrong.

    `key` is the dotted key at fault, `place` its line and file.
    """

    fault = "operator"

    def __init__(self, what: str, remedy: str = "", key: str = "", place: str = "") -> None:
        super().__init__(f"{key}: {what}" if key else what, remedy)
        self.args = (f"{self} ({place})",) if place else self.args
        self.what = what
        self.key = key


class MistakesError(ConfigError):
    """Several mistakes, reported at once, one a line. What is asked of one error is answered by the first."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__(errors[0].what, errors[0].remedy, errors[0].key)
        self.args = ("\n".join(map(str, errors)),)
        self.errors = tuple(errors)


class MissingError(ConfigError):
    """Nothing has the id or the name that was given."""


class UnreadableError(EscalonError):
    """A message cannot be decoded or is not allowed. `reason` is a short code for dead letters."""

    fault = "producer"

    def __init__(self, reason: str, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.reason = reason


class ModelError(EscalonError):
    """A model call gave no answer.

    `error_type` is a stable short name for the audit: one of PROVIDER_FAULTS, NOT_CALLED or IMAGE_FAULTS; `too_large`
    or `rejected` for a task the provider cannot take; `bad_request` if either the task or the handler's settings may be
    at fault.
    `retryable`: the same call may succeed within seconds. `retry_after`: seconds that the provider asked to wait, None
    if it named none. `unbilled`: the provider charges nothing for the call.
    """

    fault = "provider"

    def __init__(
        self,
        error_type: str,
        what: str,
        remedy: str = "",
        *,
        retryable: bool,
        retry_after: float | None = None,
        request_id: str | None = None,
        unbilled: bool = False,
    ) -> None:
        super().__init__(what, remedy)
        self.error_type = error_type
        self.unbilled = unbilled
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id


class HandlerError(EscalonError):
    """A Python handler raised or returned what it must not."""

    fault = "handler"


class ProcessError(EscalonError):
    """This process lacks a resource: disk space, file handles, memory, threads, one of its files.

    The message in flight is not at fault. It stays uncommitted, the process ends, and its successor handles the
    message again.
    """


class DeadLetterLimitError(ProcessError):
    """Too many messages of a partition in a row, or too large a share of its latest, became dead letters."""


class ServiceError(EscalonError):
    """A request to Kafka, ClickHouse, the schema registry or the blob store failed."""


class NotReadyError(ServiceError):
    """A service may succeed in a moment: it is starting or loading, or it did not answer."""
