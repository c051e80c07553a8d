"""The panels of one deployment and what their people do.

All state lies in Kafka and in the audit; this object holds a copy of it. Its methods run on one event loop, so that a
choice and the reservation that follows from it cannot be divided. One process serves a deployment's panels.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from streams.app.settings import Settings, require_clickhouse
from streams.audit.query import Audit
from streams.core.errors import ConfigError, ServiceError
from streams.core.messages import Judgement, PanelCase, Reservation
from streams.panels.assignment import TICK, Assigner
from streams.panels.claims import read_claim
from streams.panels.decision import decide
from streams.panels.evidence import PanelEvidence, evidence_of
from streams.panels.panel_log import PanelLog, StateMessage
from streams.panels.publication import MessageWriter
from streams.pipeline.load import Pipeline
from streams.ui.links import LinkFault, LinkSigner, person_of, signing_key
from streams.ui.panel.contents import MAX_ROWS, CaseContents
from streams.ui.panel.judging import PanelSession, Said, judgements_of

SAVE_SECONDS: Final = 5.0
"""The wait for Kafka's confirmation before a page says that a judgement is not saved yet."""
REFRESH_SECONDS: Final = 20.0
DECIDE_SECONDS: Final = 1.0
log = logging.getLogger("escalon.panels")
RefusalKind = Literal["not found", "place taken", "erased"]


class RefusedError(Exception):
    """A rater may not do this; `kind` is the page that says so."""

    def __init__(self, kind: RefusalKind) -> None:
        super().__init__(kind)
        self.kind: RefusalKind = kind


@dataclass(frozen=True, slots=True)
class _Pending:
    """Messages that Kafka has not confirmed. The same judgement that comes again is the same messages."""

    said: Said
    messages: list[StateMessage]
    saved: Future[None]


class PanelSite:
    """Answers what the pages ask, and writes what raters decide. `load` reads it, `start` begins to follow."""

    def __init__(self, settings: Settings, pipeline: Pipeline) -> None:
        self.settings = settings
        self.signer = LinkSigner(signing_key(settings))
        self.contents = CaseContents(require_clickhouse(settings), pipeline)
        self._log = PanelLog(settings)
        self._writer = MessageWriter(settings, 2 * SAVE_SECONDS)
        self._pending: dict[tuple[str, str], _Pending] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._new_cases = asyncio.Event()
        self._decided: set[str] = set()
        self._undecided: set[str] = set()
        """Panels with a claim and with judgements since it was last looked at."""

    def load(self) -> None:
        """Read the panels and the contents of their cases. Raises EscalonError if a server cannot be read."""
        with closing(Audit(require_clickhouse(self.settings), max_rows=MAX_ROWS)) as audit:
            self._log.load(audit)
        self.contents.refresh(self._cases(), self.settings.now())
        self._writer.prepare()

    async def start(self) -> None:
        """Follow the topics, and refresh the contents from time to time."""
        loop = asyncio.get_running_loop()
        self._log.follow(lambda messages: _call(loop, lambda: self._apply(messages)))
        self._undecided.update(self._log.panels)
        self._spawn(self._keep(self._refresh))
        self._spawn(self._keep(self.decide, DECIDE_SECONDS))

    async def close(self) -> None:
        """Stop following."""
        for task in self._tasks:
            task.cancel()
        self._log.close()
        await asyncio.to_thread(self._writer.close)

    def session(self, token: str) -> PanelSession | LinkFault:
        """Return the person of a token, or the reason why the link does not work."""
        link = self.signer.read(token)
        if link is None:
            return "link invalid"
        assigner = self._log.panels.get(link.panel)
        panel = assigner.board.panel if assigner is not None else None
        found = person_of(link, panel, self.settings.now())
        if isinstance(found, str):
            return found
        if assigner is None or panel is None:
            return "link revoked"
        return PanelSession(token, found, panel.people.index(found), assigner)

    # ---- What a rater does. Each raises ServiceError if Kafka does not confirm it. ----

    async def reserve(self, session: PanelSession) -> PanelCase | None:
        """Reserve the next case, or extend the open one; None if there is none."""
        now, assigner = self.settings.now(), session.assigner
        case = assigner.next_case(session.judge, now, self.contents.readable)
        if case is not None and not self.is_over(assigner):
            await self._reserve(assigner, assigner.reservation(case, session.judge, now))
        return case

    async def renew(self, session: PanelSession) -> None:
        """Extend the reservation of the open case."""
        now, assigner = self.settings.now(), session.assigner
        case = assigner.open_case(session.judge, now)
        if case is not None:
            await self._reserve(assigner, assigner.reservation(case, session.judge, now))

    async def release(self, session: PanelSession) -> None:
        """Give the open case back."""
        message = session.assigner.release(session.judge, self.settings.now())
        if message is not None:
            await self._reserve(session.assigner, message)

    async def undo(self, session: PanelSession) -> None:
        """Open the case again that the rater judged last."""
        now, assigner = self.settings.now(), session.assigner
        case = assigner.previous(session.judge, now)
        if case is not None and case.case_id in self.contents.readable:
            await self._reserve(assigner, assigner.reservation(case, session.judge, now))

    async def judge(self, session: PanelSession, case: PanelCase, said: Said) -> None:
        """Save a judgement of an admitted case, and reserve the next one."""
        now, assigner = self.settings.now(), session.assigner
        if self.open_case_id(session) == case.case_id or not self._is_saved(assigner, case, session.judge, said):
            pending = self._send(session, case, said, assigner.time_of(session.judge, now))
            judged_at = max(one.judged_at for one in pending.messages if isinstance(one, Judgement))
            if not assigner.is_ended(case.case_id, session.judge):  # else its place is the rater's already
                hold = assigner.reservation(case, session.judge, now)
                assigner.apply(replace(hold, reserved_at=min(hold.reserved_at, judged_at)))
            await self._settle(session, case, pending)
        with suppress(ServiceError):  # then the start page offers the next case
            await self.reserve(session)

    async def adjudicate(self, session: PanelSession, case: PanelCase, said: Said) -> None:
        """Save an adjudicator's decision. Raises ServiceError if Kafka does not confirm it."""
        decided, now = session.assigner.board.decisions.get(case.case_id), self.settings.now()
        pending = self._send(session, case, said, max(now, decided.ended_at + TICK) if decided is not None else now)
        await self._settle(session, case, pending)

    def admitted(self, session: PanelSession, case_id: str) -> PanelCase:
        """Return a case that a rater may judge. Raises RefusedError."""
        found = session.assigner.admission(case_id, session.judge, self.settings.now())
        if found == "unknown":
            raise RefusedError("not found")
        if case_id not in self.contents.readable:
            raise RefusedError("erased")
        if found == "taken":
            raise RefusedError("place taken")
        return session.assigner.board.cases[case_id]

    def open_case_id(self, session: PanelSession) -> str:
        """Return the id of the case that a rater has open; empty without one."""
        opened = session.assigner.open_case(session.judge, self.settings.now())
        return opened.case_id if opened is not None else ""

    def may_read(self, session: PanelSession, case_id: str) -> bool:
        """True if a person may see a case: a rater one that was given to them, an adjudicator every drawn one."""
        board = session.assigner.board
        if session.person.role == "adjudicator":
            return case_id in board.cases and board.cases[case_id].purpose == "sample"
        return case_id in board.shown.get(session.judge, ())

    def is_over(self, assigner: Assigner) -> bool:
        """True if a panel gives no more cases: it is closed, or its claim is decided."""
        return assigner.panel.state == "closed" or assigner.panel.panel in self._decided

    # ---- Writing ----

    def _send(self, session: PanelSession, case: PanelCase, said: Said, now: datetime) -> _Pending:
        """Send a judgement, or return the one that is under way and says the same."""
        key = case.case_id, session.judge
        known = self._pending.get(key)
        if known is not None and known.said == said:
            if known.saved.done() and known.saved.exception() is not None:  # the same messages again
                known = self._pending[key] = replace(known, saved=self._writer.send(known.messages))
            return known
        messages: list[StateMessage] = list(judgements_of(session, case, said, now))
        sent = self._pending[key] = _Pending(said, messages, self._writer.send(messages))
        return sent

    async def _settle(self, session: PanelSession, case: PanelCase, pending: _Pending) -> None:
        """Wait until Kafka has confirmed a judgement, then let it count."""
        await self._saved(pending.saved)
        for message in pending.messages:
            session.assigner.apply(message)
        self._undecided.add(case.panel)
        self._pending.pop((case.case_id, session.judge), None)

    async def _reserve(self, assigner: Assigner, message: Reservation) -> None:
        before = assigner.board.latest.get(message.judge)
        assigner.apply(message)  # at once, so that no other rater gets the case meanwhile
        try:
            await self._saved(self._writer.send([message]))
        except ServiceError:
            if before is None or before.reserved_at < message.reserved_at:
                # A case is shown only after Kafka has its reservation: a restarted server must know of it.
                late = message.reserved_at + timedelta(microseconds=1)
                assigner.apply(replace(message, reserved_at=late, expires_at=late))
            raise

    async def _saved(self, sent: Future[None]) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(sent)), SAVE_SECONDS)
        except TimeoutError as error:
            raise ServiceError("Kafka has not confirmed a message in time.", "Try again.") from error

    def _is_saved(self, assigner: Assigner, case: PanelCase, judge: str, said: Said) -> bool:
        """True if the rater has already said exactly this, as when a browser sends a form twice."""
        known = assigner.board.of(case.case_id, judge)
        if known is None or not assigner.is_ended(case.case_id, judge):
            return False
        if said.kind == "skip":
            return known.skipped and known.skip is not None and known.skip.comment == said.comment
        verdicts = {key: one.verdict for key, one in known.verdicts.items()}
        comments = {one.comment for one in known.verdicts.values()}
        return not known.skipped and verdicts == dict(said.verdicts) and comments == {said.comment}

    # ---- Keeping up ----

    def _apply(self, messages: list[StateMessage]) -> None:
        for message in messages:
            self._log.apply(message)
            if isinstance(message, Judgement):
                self._undecided.add(message.panel)
            elif isinstance(message, PanelCase):
                self._new_cases.set()

    async def decide(self) -> None:
        """Look whether the claims of panels with new judgements are decided."""
        while self._undecided:
            assigner = self._log.panels.get(self._undecided.pop())
            board = assigner.board if assigner is not None else None
            if board is None or board.panel is None or not board.panel.stop or board.panel.panel in self._decided:
                continue
            evidence = evidence_of(board.panel, board.cases.values(), board.judgements.values())
            if await asyncio.to_thread(is_decided, evidence, self.contents.unreadable):
                self._decided.add(board.panel.panel)

    async def _keep(self, work: Callable[[], Coroutine[None, None, None]], pause: float = 0.0) -> None:
        while True:
            await asyncio.sleep(pause)
            try:
                await work()
            except Exception:  # erasures must still reach the pages
                log.exception("work beside the pages failed, and is done again")

    async def _refresh(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._new_cases.wait(), REFRESH_SECONDS)
        self._new_cases.clear()
        await self.refresh()

    async def refresh(self) -> None:
        """Read the contents of new cases, and drop those of erased events, if ClickHouse answers."""
        await asyncio.to_thread(self.contents.try_refresh, list(self._cases()), self.settings.now())

    def _cases(self) -> Iterator[PanelCase]:
        return (case for assigner in self._log.panels.values() for case in assigner.board.cases.values())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def is_decided(evidence: PanelEvidence, unreadable: Collection[str]) -> bool:
    """True if the panel's claim holds or fails. A claim that cannot be read is never decided."""
    try:
        claim = read_claim(evidence.panel.stop, evidence.panel.options)
    except ConfigError as error:
        log.warning("the panel %s has no readable claim: %s", evidence.panel.panel, error)
        return False
    return decide(claim, evidence, erased=unreadable).decision != "open"


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has been closed
        loop.call_soon_threadsafe(work)
