"""The halves of a certificate, its words, its document and its page."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from streams.audit.verify.report import Fault, VerifyReport
from streams.core.errors import ConfigError
from streams.panels.certificate import Certificate, assess, check_ranges
from streams.panels.certificate_document import certificate_document, document_hash
from streams.panels.certificate_page import certificate_page
from streams.panels.certificate_text import pipeline_cautions, statement, why_not
from streams.panels.claims import ErrorClaim, PreferenceClaim
from streams.panels.completeness import Completeness, completeness_of
from streams.panels.evidence import PanelEvidence
from tests.builders import START
from tests.harness.panels import answer, case, evidence, panel, said, stratum

CLAIM = ErrorClaim(0.05)
PROVEN = Completeness(state="proven", ends={"outcome": 20})


def census(wrong: int, *, tasks: int = 20, **more: Any) -> PanelEvidence:
    """A panel that judged all tasks, the first half of them the worker's; so many of the first are wrong."""
    half = tasks // 2
    drawn = [case(n, answer() if n <= half else answer("outcome", tier="reasoner", handler="think")) for n in
             range(1, 1 + tasks)]  # fmt: skip
    rated = [said(one.case_id, "anna", "no" if one.position <= wrong else "yes") for one in drawn]
    of = panel(stratum(tasks=half), stratum("think", tasks=tasks - half), raters_per_case=1, **more)
    return evidence(of, drawn, *rated)


def test_a_census_gives_the_error_itself_in_total_and_by_tier() -> None:
    found = assess(CLAIM, [census(1)], 0.95)
    assert (found.total.low, found.total.high, found.total.cases) == (0.05, 0.05, 20)
    assert [(one.name, one.tasks, one.cases, one.low, one.high) for one in found.tiers] == [
        ("worker", 10, 10, 0.1, 0.1),
        ("reasoner", 10, 10, 0.0, 0.0),
    ]
    assert found.decision == "holds"


def test_a_tier_without_a_judged_case_has_no_bound_below_1() -> None:
    of = census(0)
    few = evidence(of.panel, of.cases, *(one for one in of.judgements if int(one.case_id[1:]) <= 5))
    worker, reasoner = assess(CLAIM, [few], 0.95).tiers
    assert (worker.cases, reasoner.cases, reasoner.high) == (5, 0, 1.0)


def test_several_panels_count_by_their_tasks() -> None:
    """Of 20 tasks 2 are wrong, of 40 none: 2 of 60."""
    found = assess(CLAIM, [census(2), census(0, tasks=40, panel="week-49")], 0.95)
    assert found.total.high == pytest.approx(2 / 60)
    assert (found.total.tasks, found.total.cases, found.decision) == (60, 60, "holds")
    assert [one.panel for one in found.panels] == ["week-48", "week-49"]


def test_bounds_of_several_panels_share_the_risk() -> None:
    def some(name: str) -> PanelEvidence:
        drawn = [case(n) for n in range(1, 61)]
        of = panel(stratum(tasks=1000), raters_per_case=1, panel=name)
        return evidence(of, drawn, *(said(one.case_id, "anna", "yes") for one in drawn))

    one, two = assess(CLAIM, [some("a")], 0.95), assess(CLAIM, [some("a"), some("b")], 0.95)
    assert two.total.high > one.total.high


def test_panels_on_other_runs_or_the_same_time_cannot_be_combined() -> None:
    later = START + timedelta(days=7)
    check_ranges([census(0), census(0, panel="week-49", since=later, until=later + timedelta(days=7))])
    with pytest.raises(ConfigError, match="overlap"):
        check_ranges([census(0), census(0, panel="week-49", since=later - timedelta(days=1))])
    with pytest.raises(ConfigError, match="different runs"):
        check_ranges([census(0), census(0, run="candidate")])


def test_digests_change_with_a_content_and_with_a_judgement() -> None:
    (known,) = assess(CLAIM, [census(0)], 0.95).panels
    of = census(0)
    other = evidence(of.panel, [replace(of.cases[0], content_digest="x"), *of.cases[1:]], *of.judgements)
    (content,), (verdict,) = assess(CLAIM, [other], 0.95).panels, assess(CLAIM, [census(1)], 0.95).panels
    assert content.cases_digest != known.cases_digest == verdict.cases_digest
    assert content.judgements_digest == known.judgements_digest != verdict.judgements_digest
    assert (known.judgements, known.counted, known.cases) == (20, 20, 20)


# ---- Completeness ----


def report(**more: Any) -> VerifyReport:
    return VerifyReport(**{"ends": {"outcome": 20, "lost": 0}} | more)


def test_it_is_proven_if_kafka_holds_every_settled_event_and_nothing_is_wrong() -> None:
    assert completeness_of(report(), 20) == Completeness(state="proven", ends={"outcome": 20, "lost": 0})


def test_a_fault_names_its_events() -> None:
    lost = Fault("lost_event", "events", 12, ({"partition": 1, "offset": 0, "event_id": "mail-7"}, {"partition": 1}))
    found = completeness_of(report(faults=[lost]), 20)
    assert found.state == "faulty"
    assert found.faults == ("events: 12 events without an outcome or a dead letter: mail-7 ….",)


@pytest.mark.parametrize(
    ("given", "settled", "words"),
    [
        (None, 20, "No Kafka broker is running"),
        (report(), 25, "the outcomes of 25 events, of which Kafka still holds 20"),
        (report(unproven=Counter(missing_row=3)), 20, "3 × possibly records without a row in ClickHouse"),
        (report(held_back={"events": 2}), 20, "2 offsets of events are behind an open transaction"),
        (report(young=Counter(lost_event=4)), 20, "4 entries are too recent"),
    ],
)
def test_missing_evidence_makes_it_unproven(given: VerifyReport | None, settled: int, words: str) -> None:
    found = completeness_of(given, settled)
    assert (found.state, found.faults) == ("unproven", ())
    assert words in " ".join(found.unproven)


# ---- Words ----


def test_a_statement_names_both_halves() -> None:
    said_of = statement(CLAIM, 0.95, assess(CLAIM, [census(1)], 0.95), PROVEN, "in week 48")
    assert "Of the 20 answered tasks in week 48, at least 95 % were answered rightly, with certainty 95 %" in said_of
    assert "at most 5 % are wrong, by 20 cases that people judged. Every event has exactly one end" in said_of


def test_a_statement_does_not_claim_completeness_that_is_unproven() -> None:
    quality = assess(CLAIM, [census(0)], 0.95)
    assert "is unproven." in statement(CLAIM, 0.95, quality, completeness_of(None, 20), "in week 48")


def test_a_refutation_and_faults_are_each_given_as_reasons() -> None:
    lost = Completeness(state="faulty", faults=("events: 1 lost: e7.",), ends={})
    reasons = list(why_not(CLAIM, 0.95, assess(CLAIM, [census(2)], 0.95), lost))
    assert reasons[0].startswith('"error <= 0.05" is refuted with certainty 95 %: the error lies between 10 % and 10 %')
    assert reasons[1:] == ["events: 1 lost: e7."]


def test_a_claim_that_holds_on_a_complete_stream_has_no_reasons_against_it() -> None:
    assert list(why_not(CLAIM, 0.95, assess(CLAIM, [census(1)], 0.95), PROVEN)) == []


def test_answers_of_other_versions_of_the_pipeline_are_counted() -> None:
    (found,) = pipeline_cautions({"aaa": 3, "bbb": 7}, "bbb")
    assert "3 of 10 answered events were answered by other versions" in found
    assert list(pipeline_cautions({"aaa": 3}, "")) == []


# ---- Document and page ----


def certificate(*why: str, claim: ErrorClaim | PreferenceClaim = CLAIM, **more: Any) -> Certificate:
    usual: dict[str, Any] = {
        "claim": str(claim), "certainty": 0.95, "run": "live", "since": None, "until": START, "made_at": START,
        "statement": "It is good.", "why_not": why, "cautions": (), "quality": assess(claim, [census(1)], 0.95),
        "completeness": PROVEN, "outcomes": {"p": 20}, "rows": {"calls": 20},
    }  # fmt: skip
    return Certificate(**usual | more)


def test_the_hash_of_the_document_covers_all_of_it() -> None:
    document = json.loads(json.dumps(certificate_document(certificate())))
    assert document["hash"] == document_hash(document)
    assert document_hash(document | {"granted": False}) != document["hash"]
    assert (document["granted"], document["quality"]["total"]["high"], document["until"]) == (
        True, 0.05, "2026-11-01T12:00:00+00:00",
    )  # fmt: skip


def test_the_page_states_a_granted_certificate_with_its_hash_and_plot() -> None:
    text = certificate_page(certificate(), "f00d")
    assert all(one in text for one in ("It is good.", "f00d", "<svg", "Proven:", "week-48"))
    assert "Not granted" not in text


def test_the_page_does_not_claim_completeness_that_is_unproven() -> None:
    text = certificate_page(certificate(completeness=completeness_of(None, 20)), "f00d")
    assert "<h1>Certificate of quality alone: error" in text


def test_the_page_escapes_the_names_of_events() -> None:
    text = certificate_page(certificate("lost: <b>e7</b>."), "f00d")
    assert "lost: &lt;b&gt;e7&lt;/b&gt;." in text
    assert "No certificate" in text


def test_the_page_without_a_panel_has_no_quality() -> None:
    assert "<h2>Quality</h2>" not in certificate_page(certificate("No panel.", quality=None), "f00d")
