"""Panels made from a real audit, and the requests that are refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.core.messages import Judgement
from streams.panels.making import MadePanel, Pace, PanelRequest, check_request, make_panel, options_of, read_pace
from streams.panels.rubric import Rubric, read_rubric
from streams.pipeline.load import Pipeline
from tests.builders import START
from tests.harness.audit import write
from tests.harness.panel_stream import stream
from tests.harness.panels import RUBRIC

ASKS_ALL = read_rubric(RUBRIC)
NOW = START + timedelta(days=1)


def request(**more: Any) -> PanelRequest:
    usual: dict[str, Any] = {"name": "p", "until": NOW, "seed": 7, "random": 0.7}
    return PanelRequest(**usual | more)


@pytest.fixture(scope="module")
def make(config: ClickHouseConfig, pipeline: Pipeline) -> Callable[..., MadePanel]:
    """The making of a panel about a stream of 40 events."""
    write(config, *stream("stream"))

    def make(rubric: Rubric = ASKS_ALL, **more: Any) -> MadePanel:
        audit = Audit(config)
        try:
            return make_panel(audit, pipeline, rubric, request(run="stream", **more), NOW)
        finally:
            audit.close()

    return make


def rated(case: int, seconds: float | None, **more: Any) -> Judgement:
    """A person's rating by the rubric ASKS_ALL, on two questions."""
    usual: dict[str, Any] = {
        "event_id": f"e{case}", "run": "pace", "call_id": "c", "judge": "anna", "question": "right", "verdict": "yes",
        "judged_at": START, "panel": "old", "case_id": f"case-{case}", "rubric": ASKS_ALL.id, "seconds": seconds,
    }  # fmt: skip
    return Judgement(**usual | more)


@pytest.mark.embedded
def test_a_panel_has_cases_for_people_and_a_judge_and_checks(make: Callable[..., MadePanel]) -> None:
    found = make(cases=15, judge_cases=12)
    assert Counter(case.purpose for case in found.cases) == {"sample": 15, "judge": 12, "gold": 2, "repeat": 2}
    assert (found.panel.cases, sum(one.tasks for one in found.panel.population)) == (15, 40)
    assert {case.expected for case in found.cases if case.purpose == "gold"} == {"yes", "no"}
    assert found.minutes == pytest.approx(19 * 40 / 60)
    assert all(len(case.content_digest) == 32 for case in found.cases)


@pytest.mark.embedded
def test_the_same_request_gives_the_same_panel(make: Callable[..., MadePanel]) -> None:
    assert make(cases=5) == make(cases=5)
    assert make(cases=5).cases != make(cases=5, seed=8).cases


@pytest.mark.embedded
def test_a_comparison_has_both_answers_where_both_exist(make: Callable[..., MadePanel]) -> None:
    found = make(cases=40, options=("worker", "reasoner"))
    assert Counter(len(case.answers) for case in found.cases if case.purpose == "sample") == {1: 30, 2: 10}
    assert {name: found.reasons[name] for name in ("tiers disagree", "needless refusal")} == {
        "tiers disagree": 10,
        "needless refusal": 5,
    }


@pytest.mark.embedded
def test_minutes_are_turned_into_cases_and_their_checks(make: Callable[..., MadePanel]) -> None:
    found = make(minutes=8.0)  # 12 showings of 40 s, of which a sixth are checks
    assert found.panel.cases == 10
    assert found.minutes == pytest.approx(8.0)


@pytest.mark.embedded
def test_fewer_tasks_than_asked_for_are_all_drawn(make: Callable[..., MadePanel]) -> None:
    found = make(cases=90)
    assert found.panel.cases == 40
    assert {case.probability for case in found.cases if case.purpose == "sample"} == {1.0}


@pytest.mark.embedded
def test_too_many_cases_are_refused(make: Callable[..., MadePanel]) -> None:
    with pytest.raises(ConfigError, match="a panel has at most 20,000 cases"):
        make(cases=20_001)


@pytest.mark.embedded
def test_the_pace_is_the_median_of_peoples_earlier_cases(config: ClickHouseConfig, audit: Audit) -> None:
    assert read_pace(audit, ASKS_ALL) == Pace(40.0, 0)
    write(config, *(rated(number, seconds) for number, seconds in enumerate((10.0, 20.0, 30.0, 900.0))))
    assert read_pace(audit, ASKS_ALL) == Pace(40.0, 0)  # too few
    write(
        config,
        rated(4, 40.0),
        rated(4, 40.0, question="tone", verdict="3"),
        rated(5, None),
        rated(6, 1.0, judge_kind="model"),
        rated(7, 1.0, kind="skip"),
        rated(8, 1.0, rubric="other"),
    )
    assert read_pace(audit, ASKS_ALL) == Pace(30.0, 5)


def test_the_options_follow_from_what_is_compared() -> None:
    assert options_of("", "live") == ("live", ("outcome",))
    assert options_of("", "live,candidate") == ("live", ("live", "candidate"))
    assert options_of("worker, reasoner", "old") == ("old", ("worker", "reasoner"))
    assert options_of("reasoner,worker", "live") == ("live", ("worker", "reasoner"))


@pytest.mark.parametrize(
    ("compare", "run", "said"),
    [
        ("worker", "live", "compare: 'worker' cannot be compared. Write --compare worker,reasoner"),
        ("worker,reasoner", "live,b", "a panel compares tiers or runs, not both"),
        ("", "live,live", "run: 'live,live' names neither one run nor two"),
        ("", "live,", "names neither one run nor two"),
        ("", "a,b,c", "names neither one run nor two"),
        ("", "live,tie", "a run named 'tie' cannot be compared"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(compare: str, run: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        options_of(compare, run)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "a/b"}, "name: 'a/b' is not a name for a panel. Use letters"),
        ({"name": ""}, "is not a name for a panel"),
        ({"cases": 5, "minutes": 5.0}, "minutes: it is given beside --cases"),
        ({"since": NOW}, "since: it is not before --until"),
        ({"stop": "all is well"}, "'all is well' is not a claim"),
        ({"stop": "worker better than reasoner"}, "the panel compares nothing"),
    ],
)
def test_a_request_that_is_wrong_by_itself_is_refused(more: dict[str, Any], said: str) -> None:
    check_request(request(), ASKS_ALL)
    with pytest.raises(ConfigError, match=re.escape(said)):
        check_request(request(**more), ASKS_ALL)


def test_a_rubric_that_only_compares_needs_two_answers() -> None:
    picks = read_rubric('title = "T"\n[[question]]\nname = "better"\nask = "Which?"\ntype = "pick"\n')
    check_request(request(options=("worker", "reasoner")), picks)
    with pytest.raises(ConfigError, match="rubric: all its questions compare two answers"):
        check_request(request(), picks)
