"""Fuzzed messages through the whole pipeline, a short run; bench/fuzz.py has the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fuzz import pipeline, run
from streams.core.topics import BY_NAME

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

MESSAGES = 400


def test_each_message_is_a_dead_letter_with_a_reason_or_rightly_accepted(tmp_path: Path) -> None:
    with pipeline(tmp_path, None) as running:
        report = run(running, MESSAGES, seed=2026)
    assert (report.neither, report.without_reason, report.processes) == ([], 0, "all alive")
    assert report.dead_letters + report.accepted + report.left == MESSAGES
    assert set(report.by_topic) == BY_NAME.keys() - {"reservations", "deferred-batch"}, (
        "there are topics without messages"
    )
    assert min(report.dead_letters, report.accepted) > MESSAGES // 5, "the messages are all alike"
