"""One event through the three tiers in a plain loop: the live stages, without Kafka between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from streams.calling.caller import Caller
from streams.calling.confidence import ConfidenceScorer
from streams.calling.record import CallRecords
from streams.core.errors import ConfigError
from streams.core.messages import Call, Escalation, Event, Message, Outcome, Result, Sighting, Tier, Verdict
from streams.pipeline.load import Pipeline
from streams.stages.dedupe_images import dedupe_images
from streams.stages.listen import listen
from streams.stages.ports import Images, SeenImages
from streams.stages.reason import reason
from streams.stages.settle import settle
from streams.stages.work import work

Row = Verdict | Call | Outcome


Drive = Callable[[Event], Awaitable[list[Row]]]
"""Takes an event through the tiers and returns its audit rows, the one outcome last. Raises BrokenOffError."""


class BrokenOffError(Exception):
    """An event did not reach its end. `rows` are those made before; the cause is the reason."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__("the event did not reach its end")
        self.rows = rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """The stages of a pipeline; it is a Drive.

    Thresholds are as the file has them: only the live stream shows that a calibration has expired.
    """

    pipeline: Pipeline
    callers: Mapping[Tier, Mapping[str, Caller]]
    scorers: Mapping[str, ConfidenceScorer]
    records: CallRecords
    images: Images
    seen: SeenImages
    """The images that live traffic did not find to be duplicates; new ones are added."""
    now: Callable[[], datetime]

    async def __call__(self, event: Event) -> list[Row]:
        """Return the audit rows of an event. Raises BrokenOffError from a stage's error."""
        rows: list[Row] = []
        try:
            outcome = await self._outcome(event, rows)
        except Exception as error:
            raise BrokenOffError(rows) from error
        return [*rows, outcome]

    async def _outcome(self, event: Event, rows: list[Row]) -> Outcome:
        """Return the event's one outcome; add its calls and its verdict to `rows`."""
        outcome: Outcome | None = None
        waiting = deque(
            await listen(event, self.now(), self.pipeline, self.callers["listener"], self.records, self.images)
        )
        while waiting:
            message = waiting.popleft()
            if isinstance(message, (Call, Verdict)):
                rows.append(message)
            if isinstance(message, Result):
                outcome = outcome or settle(message, self.now())
            waiting.extend(await self._next(message))
        if outcome is None:
            raise ConfigError(f"the event {event.origin.event_id} has no outcome.", key="pipeline")
        return outcome

    async def _next(self, message: Message) -> list[Message]:
        now, pipeline, callers, records = self.now(), self.pipeline, self.callers, self.records
        match message:
            case Sighting():
                return await dedupe_images(message, now, pipeline, records, self.seen, self.images)
            case Verdict():
                return await work(message, now, pipeline, callers["worker"], records, self.scorers)
            case Escalation():
                return await reason(message, now, pipeline, callers["reasoner"], records)
            case _:
                return []


_LIVE_ONLY: dict[str, Any] = {"budgets": {}, "deadline": None, "retry_later": None}


def as_replayed(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline without exploration, daily budgets, deadline and later retries: these are live only."""
    workers = {
        name: replace(handler, confidence=replace(handler.confidence, explore=0.0)) if handler.confidence else handler
        for name, handler in pipeline.workers.items()
    }
    return replace(pipeline, workers=workers, spec=pipeline.spec.model_copy(update=_LIVE_ONLY))
