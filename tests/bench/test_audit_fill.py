from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.audit_fill import PIPELINE, fill
from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.providers import comparison
from streams.audit.query import Audit
from streams.evaluation.cases import AuditPart, read_cases
from streams.pipeline.load import load_pipeline

pytestmark = pytest.mark.embedded
EVENTS = 2000
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def audit(config: ClickHouseConfig) -> Audit:
    fill(config, EVENTS, NOW)
    return Audit(config)


def test_half_of_the_events_are_live_and_the_rest_are_replays_of_them(audit: Audit) -> None:
    ((letters,),) = audit.query("SELECT count() FROM dead_letters").rows
    (cheaper, live, stricter) = audit.query("SELECT run, count() FROM outcomes GROUP BY run ORDER BY run").rows
    assert live == ("live", EVENTS // 2 - letters)
    assert audit.query("SELECT run, events FROM runs ORDER BY run").rows == [cheaper, stricter]
    assert EVENTS // 4 - letters <= cheaper[1] == stricter[1] <= EVENTS // 4
    alone = """SELECT count() FROM outcomes
        WHERE run != 'live' AND event_id NOT IN (SELECT event_id FROM outcomes WHERE run = 'live')"""
    assert audit.query(alone).rows == [(0,)]


def test_every_escalated_event_was_answered_by_a_reasoner_or_failed(audit: Audit) -> None:
    sql = """SELECT outcomes.tier, count() FROM calls INNER JOIN outcomes USING (run, event_id)
        WHERE calls.tier = 'worker' AND decision = 'escalated' GROUP BY outcomes.tier"""
    ((tier, count),) = audit.query(sql).rows
    assert (tier, count > 0) == ("reasoner", True)


def test_an_event_that_cannot_be_read_is_a_dead_letter_and_nothing_else(audit: Audit) -> None:
    ended = """SELECT count(), countIf(event_id IN (SELECT event_id FROM calls)),
            countIf(event_id IN (SELECT event_id FROM outcomes))
        FROM dead_letters"""
    ((letters, called, settled),) = audit.query(ended).rows
    assert letters > 0
    assert (called, settled) == (0, 0)


def test_a_verdicts_confidence_is_that_of_the_listener_who_found_its_intent(audit: Audit) -> None:
    sql = """SELECT countIf(arrayExists(one -> JSONExtractString(one, 'label') = intents[1]
            AND JSONExtractFloat(one, 'confidence') = confidence, findings))
        FROM verdicts WHERE confidence IS NOT NULL"""
    ((agreeing,),) = audit.query(sql).rows
    ((sure, unsure),) = audit.query("SELECT countIf(intents[1] != 'unsure'), count() FROM verdicts").rows
    assert 0 < agreeing == sure < unsure


def test_rows_that_were_delivered_twice_count_once(audit: Audit) -> None:
    ((rows, kept),) = audit.query("SELECT (SELECT count() FROM calls_rows), (SELECT count() FROM calls)").rows
    assert kept < rows
    assert audit.query("SELECT count() = uniqExact(run, event_id, call_id) FROM calls").rows == [(True,)]


def test_the_calls_come_from_handlers_of_the_pipeline_until_now(audit: Audit) -> None:
    assert audit.query(
        "SELECT countIf(handler_version = ''), max(event_time) <= {now:DateTime64} FROM calls", {"now": NOW}
    ).rows == [(0, True)]


def test_most_labelled_answers_of_the_workers_are_right_by_the_workers_own_rule(audit: Audit, tmp_path: Path) -> None:
    pipeline = load_pipeline(Path(shutil.copy(PIPELINE, tmp_path)))
    agrees = {name: comparison(one.correct) for name, one in pipeline.workers.items()}
    cases = read_cases(audit, pipeline, agrees, list(agrees), AuditPart(labelled=True))
    graded = [case.correct for case in cases if case.correct is not None]
    assert len(graded) > len(cases) / 2
    assert sum(graded) > len(graded) / 2
