"""Reads that a page does not wait for."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from streams.core.errors import ServiceError
from streams.ui.operator.estimates import estimated
from streams.ui.operator.reads import AuditReads
from tests.harness.operator_pages import FakeAudit


async def test_a_page_gets_nothing_at_first_and_the_result_of_the_same_read_later() -> None:
    reads, free, calls = AuditReads(FakeAudit), threading.Event(), list[int]()

    def read(_: Any) -> str:
        calls.append(1)
        free.wait()
        return "done"

    assert await estimated(reads, "key", read, patience_seconds=0.0) is None
    free.set()
    assert await estimated(reads, "key", read) == "done"
    assert len(calls) == 1


async def test_a_missing_extra_is_named_with_its_command() -> None:
    def read(_: Any) -> None:
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    with pytest.raises(ServiceError, match="pip install"):
        await estimated(AuditReads(FakeAudit), "key", read)
