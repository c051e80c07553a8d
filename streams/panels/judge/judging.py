"""A model judges the cases of a panel: one audited call a case, within a limit on the cost."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Final, Protocol

from streams.app.provider_limits import check_request
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings
from streams.calling.budgeted import most_cost
from streams.calling.cached import KnownAnswers
from streams.calling.caller import Callee, Caller
from streams.calling.chain import CallServices, chain
from streams.calling.concurrency import gather
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.core.fingerprint import digest, task_fingerprint
from streams.core.messages import Call, Decision, Judgement, Origin
from streams.core.provider_names import REMOTE
from streams.panels.content import CaseContent
from streams.panels.evidence import PanelEvidence
from streams.panels.judge.handler import CONCURRENCY, judge_handler, task_of
from streams.panels.judge.money import JudgeMoney, WithinLimit
from streams.panels.judge.verdicts import Showing, judgements_of, showings, skip
from streams.panels.publication import PanelMessage
from streams.panels.rubric import Rubric
from streams.pipeline.load import Pipeline

UNSEEN: Final = "the model cannot see the image"
"""The reason for skipping a case with an image."""
FAILURES_IN_A_ROW: Final = 3
"""After so many failed calls without an answer between them, the rest would fail as well."""


class Send(Protocol):
    """A MessageWriter's way to send: the future is done when Kafka has confirmed all messages."""

    def __call__(self, messages: Sequence[PanelMessage]) -> Future[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOrder:
    """A model, the cases that it judges, and the most that it may cost."""

    model: str
    """A key of the pipeline's [models]."""
    max_cost_usd: Decimal
    further: bool = False
    """True for the cases that were drawn for a model alone as well."""
    both_orders: bool = False
    """True to show each pair a second time with its answers swapped, as a judge with a name of its own."""


@dataclass(slots=True)
class JudgingTally:
    """Counts of one command."""

    showings: int = 0
    """Cases to show, those in both orders twice."""
    judged: int = 0
    """Showings that were answered."""
    skipped: int = 0
    """Showings that the model refused, or answered against the rubric's form."""
    failed: int = 0
    already: int = 0
    """Showings that were judged before."""
    unseen: int = 0
    """Cases with an image, which a model of this pipeline cannot see."""
    gone: int = 0
    """Cases whose event was erased, or that the audit no longer has."""
    usd: Decimal = Decimal(0)
    stopped: str = ""
    """Why not all were judged; empty if they were."""


@dataclass(slots=True)
class _Progress:
    waiting: deque[Showing]
    tally: JudgingTally
    failures: int = 0
    said: list[Judgement] = field(default_factory=list)

    def stop(self, why: str) -> None:
        self.tally.stopped = self.tally.stopped or why
        self.waiting.clear()


@dataclass(slots=True)
class NothingKept:
    """No stored answers: a judge is asked about each showing once. Is a calling.cached.KnownAnswers."""

    def covers(self, callee: Callee) -> bool:  # noqa: ARG002
        return False

    def find(self, request: CallRequest, callee: Callee, fallback: Callee | None = None) -> None:
        """Return None."""

    def serve(self, stored: object, request: CallRequest, callee: Callee) -> None:
        """Return None."""

    def keep(self, outcome: CallOutcome, request: CallRequest, callee: Callee) -> None:
        """Do nothing."""


def to_judge(evidence: PanelEvidence, order: JudgeOrder, judge: str) -> tuple[list[Showing], int]:
    """Return the showings that this judge has not judged yet, in the order of the draw, and the number of the others.

    Gold cases come first: they show how good the judge is. A case of one answer under a rubric that only compares two
    asks nothing, and is left out.
    """
    purposes = {"gold", "sample", "judge"} if order.further else {"gold", "sample"}
    done = {(one.case_id, one.judge) for one in evidence.judgements if one.judge_kind == "model"}
    compares = all(one.type == "pick" for one in evidence.rubric.questions)
    wanted = [
        one
        for case in evidence.cases
        if case.purpose in purposes and (len(case.answers) > 1 or not compares)
        for one in showings(case, judge, both_orders=order.both_orders)
    ]
    left = [one for one in wanted if (one.case.case_id, one.judge) not in done]
    return left, len(wanted) - len(left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """The services that a judge's calls need."""

    settings: Settings
    pipeline: Pipeline
    rubric: Rubric
    order: JudgeOrder
    contents: Mapping[str, CaseContent]
    """By case; a case that is missing here is not judged."""
    origins: Mapping[str, Origin]
    """By event."""
    send: Send
    money: JudgeMoney
    report: Callable[[JudgingTally], None] = lambda _: None
    """Called after each showing."""
    _callers: dict[bool, Caller] = field(default_factory=dict)

    def judge(self, showings: Sequence[Showing], tally: JudgingTally) -> list[Judgement]:
        """Judge the showings in their order, until all are judged or the money is spent; return what was said.

        Each call and its judgements are in Kafka before they are counted. Raises ConfigError for a model that is
        missing or has no price, and ServiceError if Kafka does not confirm.
        """
        return asyncio.run(self._judge(showings, tally))

    async def _judge(self, showings: Sequence[Showing], tally: JudgingTally) -> list[Judgement]:
        providers = Providers(self.pipeline, self.settings)
        shown, unseen = self._divided(showings, tally)
        tally.showings = len(shown)
        for pair in {one.pair for one in shown}:
            self._callers[pair] = self._caller(providers, pair)
        progress = _Progress(deque(shown), tally)
        try:
            await providers.load()
            await self._publish((), [skip(one, self.rubric, UNSEEN, self.settings.now()) for one in unseen])
            await gather(self._work(progress) for _ in range(min(CONCURRENCY, len(shown))))
        finally:
            await providers.close()
            tally.usd = self.money.spent
        return progress.said

    def _divided(self, showings: Iterable[Showing], tally: JudgingTally) -> tuple[list[Showing], list[Showing]]:
        """Return the showings that a model can read and those that it cannot see; count the cases of the others."""
        shown: list[Showing] = []
        unseen: list[Showing] = []
        gone = set()
        for one in showings:
            content = self.contents.get(one.case.case_id)
            if content is None or one.case.event_id not in self.origins:
                gone.add(one.case.case_id)
            else:
                (shown if content.image is None else unseen).append(one)
        tally.gone, tally.unseen = len(gone), len({one.case.case_id for one in unseen})
        return shown, unseen

    def _caller(self, providers: Providers, pair: bool) -> Caller:
        handler = judge_handler(self.pipeline, self.order.model, self.rubric, pair=pair)
        check_request(handler, self.pipeline.spec.models[self.order.model], f"models.{self.order.model}")
        limited = providers.backend(handler)
        records, callee = self._records(), limited.backend.callee
        price = records.price_of(callee)
        if price is None and callee.provider in REMOTE:
            what = f"the calls of {self.order.model} have no price, so --max-cost cannot be kept."
            raise ConfigError(what, f"Set priced_as on [models.{self.order.model}].", "max-cost")

        def most(task: Task) -> Decimal:
            return Decimal(0) if price is None else most_cost(callee, price, limited.backend.size(task))

        answers: KnownAnswers = NothingKept()
        services = CallServices(
            answers=answers,
            records=records,
            sleep=asyncio.sleep,
            jitter=random.random,
            budget=self.money,
            watch=partial(WithinLimit, money=self.money, most=most),
        )
        return chain(limited, services)

    def _records(self) -> CallRecords:
        return CallRecords(
            pipeline_hash=self.pipeline.hash,
            prices=self.pipeline.prices,
            now=self.settings.now,
            timer=time.perf_counter,
            redaction=redaction_policy(self.pipeline),
        )

    async def _work(self, progress: _Progress) -> None:
        try:
            while progress.waiting:
                await self._show(progress.waiting.popleft(), progress)
        except BaseException:
            progress.waiting.clear()  # calls in flight end, for they may have been paid for
            raise

    async def _show(self, showing: Showing, progress: _Progress) -> None:
        caller = self._callers[showing.pair]
        outcome = await caller.call(self._request(showing, caller.callee))
        if isinstance(outcome, OutOfBudget):
            progress.stop(f"A further call might exceed the limit of ${self.order.max_cost_usd}.")
            await self._publish(outcome.calls, ())
            return
        said = judgements_of(showing, self.rubric, outcome.attempt, self.settings.now())
        decision: Decision = "failed" if outcome.attempt.status == "failed" else "found"
        await self._publish(self._records().decided(outcome, decision, f"panel {showing.case.panel}"), said)
        progress.said += said
        self._count(said, outcome, progress)

    def _request(self, showing: Showing, callee: Callee) -> CallRequest:
        """Return the request; each has a fingerprint of its own, because a case may be shown again after a failure."""
        now, task = self.settings.now(), task_of(self.contents[showing.case.case_id], showing.order)
        once = digest(showing.case.panel, showing.case.case_id, showing.judge, now.isoformat())
        return CallRequest(
            task=task,
            origin=self.origins[showing.case.event_id],
            task_fingerprint=digest(task_fingerprint(callee.handler.version, task.input()), once),
            received_at=now,
        )

    async def _publish(self, calls: Iterable[Call], said: Iterable[Judgement]) -> None:
        messages: list[PanelMessage] = [*calls, *said]
        if messages:
            await asyncio.wrap_future(self.send(messages))

    def _count(self, said: Sequence[Judgement], outcome: CallOutcome, progress: _Progress) -> None:
        tally, failed = progress.tally, not said
        progress.failures = progress.failures + 1 if failed else 0
        tally.failed += failed
        tally.skipped += any(one.kind == "skip" for one in said)
        tally.judged += bool(said) and said[0].kind != "skip"
        tally.usd = self.money.spent
        self.report(tally)
        if progress.failures >= FAILURES_IN_A_ROW:
            progress.stop(f"{progress.failures} calls in a row failed: {outcome.attempt.error or 'without a reason'}")
