"""Tasks with deadlines, a batch process that is killed at any step, and the tier that its tasks go back to."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from streams.batching.desk import Desk
from streams.batching.intent import Intent
from streams.batching.search import Search
from streams.batching.waiting import BatchQuestion, Waiting, size_of
from streams.core.batch_time import has_room
from streams.core.messages import BatchReply
from streams.models.providers.protocol import ModelRequest
from tests.builders import START, event, verdict
from tests.harness.fakes.batch_books import FULL_CENTS, HALF_CENTS, FakeBatchAPI

TIMEOUT = 60.0
STEP = timedelta(seconds=10)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Kills:
    """Ends the process before or after some of its side effects, counted over all processes."""

    at: Mapping[int, bool]
    """By the number of the side effect; True: after it."""
    steps: int = 0
    killed: int = 0

    def around(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        """Return the effect, with the chance of an end before or after it."""

        def done(*given: Any) -> Any:
            number, self.steps = self.steps, self.steps + 1
            if self.at.get(number) is False:
                self._end()
            try:
                return effect(*given)
            finally:
                if self.at.get(number) is True:
                    self._end()

        return done

    def _end(self) -> None:
        self.killed += 1
        raise Killed


@dataclass(frozen=True)
class Arrival:
    """One event: when it comes, until when it must be answered, and what it asks."""

    event_id: str
    at: datetime
    deadline: datetime | None
    prompt: str


@dataclass
class World:
    """Everything outside of the batch process; it outlives kills."""

    api: FakeBatchAPI
    kills: Kills
    batch: float
    chance: random.Random
    clock: list[datetime]
    shared: bool = False
    """True if identical tasks are answered by one call."""
    topic: list[Waiting] = field(default_factory=list)
    committed: int = 0
    intents: dict[str, Intent] = field(default_factory=dict)
    sent: list[tuple[Waiting, BatchReply]] = field(default_factory=list)
    """Published, not confirmed."""
    answers: dict[str, str] = field(default_factory=dict)
    """The source of each answer: `batch`, `ordinary` or `store`."""
    known: set[str] = field(default_factory=set)
    ordinary: list[str] = field(default_factory=list)
    """The prompts that the ordinary API was asked."""
    late: list[str] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=count)

    @property
    def now(self) -> datetime:
        """The time."""
        return self.clock[0]

    def _tick(self) -> datetime:
        """Return the time, which moves on with every look at it, as a real clock's does."""
        self.clock[0] += timedelta(microseconds=1)
        return self.clock[0]

    def arrive(self, one: Arrival) -> None:
        """Do what WORK does with a new task."""
        task = verdict(event(one.event_id, one.prompt, deadline=one.deadline))
        if self.shared and one.prompt in self.known:
            self.answers[one.event_id] = "store"
        elif not has_room(one.deadline, TIMEOUT, self.batch, self.now):
            self._ask(one.event_id, one.prompt, one.deadline)
        else:
            request = ModelRequest("m", "", one.prompt, 10)
            question = BatchQuestion(
                model="m", request=request, handler_version="v", key=one.prompt if self.shared else one.event_id,
                batch=self.batch, timeout=TIMEOUT, size=size_of(request),
            )  # fmt: skip
            self.topic.append(Waiting(offset=len(self.topic), task=task, queued_at=self.now, question=question))

    def _ask(self, event_id: str, prompt: str, deadline: datetime | None) -> None:
        if deadline is not None and deadline - self.now < timedelta(seconds=TIMEOUT):
            self.late.append(event_id)
        self.ordinary.append(prompt)
        self.known.add(prompt)
        self.answers[event_id] = "ordinary"

    # The ports.

    def write(self, intent: Intent) -> None:
        """Store in the log, as bytes."""
        self.intents[intent.intent_id] = Intent.decode(intent.encode())

    def erase(self, intent: Intent) -> None:
        """Remove from the log."""
        self.intents.pop(intent.intent_id, None)

    def publish(self, waiting: Waiting, reply: BatchReply) -> None:
        """Send; it arrives with the next flush, or perhaps although the process ends before."""
        self.sent.append((waiting, reply))

    def flush(self) -> None:
        """Deliver all that was sent."""
        for waiting, reply in self.sent:
            self._deliver(waiting, reply)
        self.sent.clear()

    def commit(self, _: int, offset: int) -> None:
        """Commit."""
        assert offset >= self.committed
        self.committed = offset

    def _deliver(self, waiting: Waiting, reply: BatchReply) -> None:
        event_id, prompt = waiting.task.event.origin.event_id, waiting.task.event.text
        if event_id in self.answers:
            return
        if reply.end == "answered":
            self.answers[event_id] = "batch"
            self.known.add(prompt)
        elif self.shared and prompt in self.known:
            self.answers[event_id] = "store"
        else:
            self._ask(event_id, prompt, waiting.task.event.deadline)

    # The process.

    def process(self) -> Desk:
        """Start a batch process where the last one ended."""
        del self.sent[self.chance.randint(0, len(self.sent)) :]
        self.flush()
        around = self.kills.around
        api = Wrapped(self.api, around, ("create", "find", "status", "cancel", "results"))
        desk = Desk(
            partition=0,
            apis=lambda _: api,  # type: ignore[arg-type, return-value]
            log=Wrapped(self, around, ("write", "erase")),  # type: ignore[arg-type]
            outbox=Wrapped(self, around, ("publish", "flush", "commit")),  # type: ignore[arg-type]
            now=self._tick,
            new_id=lambda: f"{next(self.ids):032x}",
            search=Search(is_known=lambda name: any(one.batch_id == name for one in self.intents.values())),
        )
        desk.restore([*self.intents.values()], self.committed)
        return desk

    def run(self, arrivals: Sequence[Arrival], until: timedelta) -> None:
        """Let time pass; a process that was killed is followed by another within two minutes."""
        left, desk, starts = sorted(arrivals, key=lambda one: one.at), self.process(), self.now
        while self.now < START + until:
            while left and left[0].at <= self.now:
                self.arrive(left.pop(0))
            if not left and len(self.answers) >= max(len(arrivals), len(self.topic)) and not self.intents:
                return
            if self.now >= starts:
                try:
                    for waiting in self.topic[desk.next_offset :]:
                        desk.add(waiting)
                    desk.step()
                except Killed:
                    desk, starts = self.process(), self.now + timedelta(seconds=self.chance.uniform(0, 120))
            self.clock[0] += STEP

    def paid(self) -> Counter[str]:
        """The number of payments for each prompt, by the books of both APIs."""
        return Counter([*self.api.billed(), *self.ordinary])

    @property
    def cents(self) -> int:
        """The cost of the batches."""
        return HALF_CENTS * len([*self.api.billed()])

    @property
    def full_cents(self) -> int:
        """The cost of the same answers by the ordinary API."""
        return FULL_CENTS * sum(answer == "batch" for answer in self.answers.values())


class Wrapped:
    """A port whose side effects may be the process's last."""

    def __init__(self, port: object, around: Callable[..., Any], names: Sequence[str]) -> None:
        for name in names:
            setattr(self, name, around(getattr(port, name)))


def world(seed: int, kills: Mapping[int, bool] | None = None, batch: float = 1800.0, **more: Any) -> World:
    """A world at START; `seed` decides delays and troubles."""
    clock, chance = [START], random.Random(seed)
    own = {name: more.pop(name) for name in ("trouble", "certain") if name in more}
    api = FakeBatchAPI(lambda: clock[0], chance, **own)
    return World(api=api, kills=Kills(kills or {}), batch=batch, chance=chance, clock=clock, **more)
