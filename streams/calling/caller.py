"""The interface of a call: a wrapper takes a caller and is one, so that each concern of a call has one file.

`streams.calling.chain` builds the chain of wrappers around a handler's backend, and alone knows their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streams.calling.request import CallOutcome, CallRequest, OutOfBudget, Reply
from streams.calling.task import Task
from streams.pipeline.handlers import Handler


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """The handler that is called, under the names that the audit and the price list have for it."""

    handler: Handler
    operation: str
    provider: str
    model: str
    priced_as: str | None = None
    """Its name in the price list; None when it has no price."""
    bills_cache: bool = False
    """True if its provider bills prompt-cache tokens apart. A local model priced as another is billed nothing, and its
    cached tokens count as plain input."""
    image_tokens: int = 0
    """The most input tokens of an event's image; 0 for a callee that is not shown it."""
    caches_unasked: bool = False
    """True if its provider caches any prompt; other providers cache only what they are asked to."""
    free: bool = False
    """True if a call costs nothing by its nature, as plain code does."""
    instant: bool = False
    """True if a call never waits, so that it needs no task beside other calls."""
    answered_within: Callable[[float], bool] | None = None
    """True if a call of it was answered in the last so many seconds, so its requests are well-formed. None for plain
    code."""


class Backend(Protocol):
    """A handler's own way to answer: a prompted model, a function, a classifier. It makes one attempt."""

    @property
    def callee(self) -> Callee:
        """The handler it answers for."""
        ...

    def size(self, task: Task) -> int:
        """Return about how many input tokens a call takes. Raises HandlerError if the prompt cannot be rendered."""
        ...

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:
        """Make one attempt, within the handler's timeout and `within` seconds.

        Without an answer it returns `Reply.failed`, or raises ModelError or HandlerError. Samples of one task with
        different numbers are independent of each other, where the model is random.
        """
        ...


class Caller(Protocol):
    """Anything that can be called about a task. Safe for concurrent calls from one event loop."""

    @property
    def callee(self) -> Callee:
        """The handler whose name, version and policy apply to its calls."""
        ...

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the attempt with the audit records behind it; without money, the records of what came before.

        A failure of the model is an outcome. An EscalonError that an operator must correct, and a cancellation, are
        raised.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallWrapper:
    """A caller around another one, for the same handler."""

    caller: Caller

    @property
    def callee(self) -> Callee:
        """The wrapped caller's."""
        return self.caller.callee
