"""The one family of exceptions. Each says what broke, whose fault it is, and what to do about it.

A refusal, a low confidence or an answer that breaks its schema is a value, never an exception.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

OPERATOR_FAULTS = frozenset({"unauthorized", "not_found"})
"""Error types of a model that somebody must correct: the account, its key or credit, the model's name, the address."""
OUTAGES = OPERATOR_FAULTS | {"rate_limited", "overloaded", "circuit_open"}
"""Error types of a model that hold for every question, so that none may end because of them."""
PROVIDER_FAULTS = OUTAGES | {"server_error", "timeout", "unreachable", "bad_reply"}
"""Error types of a model that need not be about the question: another model, or a later call, may answer it."""
NOT_CALLED = frozenset({"circuit_open", "deadline"})
"""Error types of tries for which no call was made."""

Fault = Literal["operator", "producer", "provider", "handler", "infrastructure"]


class EscalonError(Exception):
    """Something is broken. `what` states it, `remedy` says what the one at fault should do."""

    fault: ClassVar[Fault] = "infrastructure"

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


HANDLER_GONE: Final = (
    "Put it back and retry the dead letters, or send their events through today's pipeline:"
    " escalon dead-letters retry --from events."
)
"""The remedy for a message whose route leads to a handler that the pipeline no longer has."""


class ConfigError(EscalonError):
    """The pipeline file, a file it names, or a setting is wrong. `key` is the dotted key at fault."""

    fault = "operator"

    def __init__(self, what: str, remedy: str = "", key: str = "") -> None:
        super().__init__(f"{key}: {what}" if key else what, remedy)
        self.what = what
        self.key = key


class UnreadableError(EscalonError):
    """A message that cannot be decoded or is not allowed. `reason` is a short code for dead letters."""

    fault = "producer"

    def __init__(self, reason: str, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.reason = reason


class ModelError(EscalonError):
    """A model call that gave no answer.

    `error_type` is a stable short name for the audit: one of PROVIDER_FAULTS or NOT_CALLED; `too_large` or `rejected`
    for a task the provider cannot take; `bad_request` where it does not say whether the task or the handler's own
    settings are at fault. `retryable` says whether the same call may succeed within seconds; `retry_after` is the
    provider's own wish in seconds, None when it gave none; `unbilled` says that the provider charges nothing for it.
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
    """This process lacks what it needs: room on its disk, file handles, memory, threads, a file of its own.

    It says nothing about the message that was being handled. The message stays uncommitted, the process ends, and the
    one that takes its place does the message again.
    """


class ServiceError(EscalonError):
    """Kafka, ClickHouse, the schema registry or the blob store did not do what was asked."""


class NotReadyError(ServiceError):
    """A service that may do what was asked in a moment: it starts, it loads, or it did not answer."""
