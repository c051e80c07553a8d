"""A Python function, as the backend of a handler: `handler(task) -> Answer | Refusal | JSON value`."""

from __future__ import annotations

import asyncio
import errno
import importlib
import inspect
import json
import math
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from streams.calling.caller import Callee
from streams.calling.concurrency import Threads
from streams.calling.request import Reply
from streams.calling.task import Answer, Refusal, Task
from streams.core.confidence import probability
from streams.core.errors import ConfigError, HandlerError, ModelError, ServiceError
from streams.core.messages import Score
from streams.core.process_fault import causes
from streams.core.reply_contract import MAX_REPLY, Reading, refused, too_large

OWN = "own"
"""The source of a confidence that plain code gives with its answer."""
NETWORK_FAULTS = frozenset({errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH})
"""Numbers of an OSError that has no class of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFunction:
    """Calls a function, plain or asynchronous. Is a Backend."""

    callee: Callee
    function: Callable[[Task], Any]
    _threads: Threads = field(default_factory=Threads, init=False)

    def size(self, task: Task) -> int:  # noqa: ARG002
        """Return 0: it takes no tokens."""
        return 0

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:  # noqa: ARG002 - its randomness is its own
        """Call the function once; a plain one runs in a thread, which goes on where it takes too long."""
        prompt = json.dumps(task.input(), ensure_ascii=False)
        try:
            return self._reply(await self._call(task, within), prompt)
        except (ModelError, HandlerError) as error:
            return Reply.failed(error, prompt=prompt)

    async def _call(self, task: Task, within: float) -> Any:
        asynchronous = inspect.iscoroutinefunction(self.function)
        call = self.function(task) if asynchronous else self._threads.call(self.callee.model, self.function, task)
        try:
            return await asyncio.wait_for(call, min(self.callee.handler.spec.timeout, within))
        except TimeoutError as error:
            raise ModelError("timeout", f"{self.callee.model} took too long.", retryable=True) from error
        except (ModelError, HandlerError, ServiceError):
            raise
        except Exception as error:
            what = f"{self.callee.model} raised {type(error).__name__}: {error}."
            # HTTP clients and database drivers raise errors of their own, from the operating system's.
            if any(_of_a_connection(cause) for cause in causes(error)):
                raise ModelError("unreachable", what, "Check what the function connects to.", retryable=True) from error
            raise HandlerError(what, "Correct the function; let it return a Refusal for what it cannot do.") from error

    def _reply(self, value: Any, prompt: str) -> Reply:
        if isinstance(value, Refusal):
            reading = refused(value.kind, value.reason)
            return Reply(reading=reading, prompt=prompt, response=reading.refusal_reason)
        answer = value if isinstance(value, Answer) else Answer(value)
        own = probability(answer.confidence)
        if own is None and answer.confidence is not None:
            raise HandlerError(
                f"{self.callee.model} gave the confidence {answer.confidence!r}.", "Give 0 to 1, or None."
            )
        if self.callee.handler.tier == "listener" and not _is_finding(answer.value):
            what = f"{self.callee.model} is a listener and returned {answer.value!r:.200}."
            raise HandlerError(what, 'Return a label, None, or {"label", "confidence", "scores"}.')
        try:
            text = json.dumps(answer.value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            what = f"{self.callee.model} returned {type(answer.value).__name__}, which is not a JSON value ({error})."
            raise HandlerError(what, "Return an Answer, a Refusal, or a JSON value.") from error
        if (oversized := too_large(text)) is not None:
            return Reply(reading=oversized, prompt=prompt, response=text[:MAX_REPLY])
        reading = Reading(status="answered", answer=text)
        sources = () if own is None else (Score(label=OWN, probability=own),)
        return Reply(reading=reading, sources=sources, prompt=prompt, response=text)


def _of_a_connection(error: BaseException) -> bool:
    known = isinstance(error, (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError))
    return known or (isinstance(error, OSError) and error.errno in NETWORK_FAULTS)


def _is_finding(value: object) -> bool:
    """True of a label, of None, which finds nothing, and of `{"label", "confidence", "scores"}`."""
    fields = value if isinstance(value, Mapping) else {"label": value}
    label, confidence, scores = (fields.get(name) for name in ("label", "confidence", "scores"))
    return (
        (label is None or isinstance(label, str))
        and (confidence is None or probability(confidence) is not None)
        and (scores is None or (isinstance(scores, Mapping) and None not in map(probability, scores.values())))
    )


def load_function(path: str) -> Callable[..., Any]:
    """Return the function at `package.module:function`. Raises ConfigError."""
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # importing runs the module
        raise ConfigError(
            f"{path} cannot be imported ({type(error).__name__}: {error}).", "Check the module's path and the name."
        ) from error
    if not callable(function):
        raise ConfigError(f"{path} is not a function.", "Name a function that takes a Task.")
    return cast(Callable[..., Any], function)
