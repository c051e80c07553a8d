"""Reads of pages: shared while they are in flight, kept for a short time, few at once, and repeated after a failure."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from streams.audit.query import QueryResult
from streams.core.errors import ServiceError
from streams.ui.operator import reads as module
from streams.ui.operator.reads import AuditReads, figure_link
from tests.harness.operator_pages import FakeAudit, table


class Time:
    """A clock that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def reads_of(audit: FakeAudit, clock: Time | None = None) -> AuditReads:
    return AuditReads(lambda: audit, clock or Time())


async def test_equal_reads_share_one_query_until_it_is_old() -> None:
    audit, clock = FakeAudit({"tiers": table("tier", ("worker",))}), Time()
    reads = reads_of(audit, clock)
    first, second = await asyncio.gather(reads.named("tiers", run="live"), reads.named("tiers", run="live"))
    await reads.named("tiers", run="live")
    assert first is second
    assert len(audit.asked) == 1
    clock.seconds = module.KEPT_SECONDS
    await reads.named("tiers", run="live")
    await reads.named("tiers", run="other")
    assert len(audit.asked) == 3


@pytest.mark.parametrize(("took", "kept"), [(0.01, 2.0), (1.0, 30.0), (60.0, 300.0)])
async def test_a_costly_result_is_kept_longer_and_a_cheap_one_is_soon_new(took: float, kept: float) -> None:
    clock, calls = Time(), list[int]()
    reads = reads_of(FakeAudit(), clock)

    def read() -> None:
        calls.append(1)
        clock.seconds += took

    await reads.call("key", read, 300.0)
    for moment, made in ((took + kept - 0.01, 1), (took + kept, 2)):
        clock.seconds = moment
        await reads.call("key", read, 300.0)
        assert len(calls) == made


async def test_a_failed_read_is_repeated_on_a_new_connection() -> None:
    opened: list[FakeAudit] = []

    def open_audit() -> FakeAudit:
        opened.append(FakeAudit({"tiers": broken if not opened else table("tier", ("worker",))}))
        return opened[-1]

    def broken(_: Any) -> QueryResult:
        raise ServiceError("ClickHouse did not answer.")

    reads = AuditReads(open_audit)
    with pytest.raises(ServiceError):
        await reads.named("tiers")
    assert (await reads.named("tiers")).rows == [["worker"]]
    assert len(opened) == 2


async def test_no_more_reads_run_at_once_than_allowed() -> None:
    reads = AuditReads(FakeAudit, at_once=2)
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=30)

    def read() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1

    await asyncio.gather(*(reads.call(number, read) for number in range(6)))
    assert most == 2


async def test_only_the_newest_results_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    reads, calls = AuditReads(FakeAudit), list[int]()
    for key in (1, 2, 3, 3, 1):
        await reads.call(key, lambda key=key: calls.append(key))  # type: ignore[misc]
    assert calls == [1, 2, 3, 1]


def test_a_figures_link_names_its_query_and_parameters() -> None:
    assert figure_link("tiers", run="a b") == "/query/tiers?run=a+b"
    assert figure_link("runs") == "/query/runs"
