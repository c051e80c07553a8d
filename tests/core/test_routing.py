"""From findings to one route."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from streams.core.messages import Finding
from streams.core.routing import COMBINE, DUPLICATE, UNSURE, CombineRule, Route, RouteChoice, choose, deciding

ROUTES = {
    "order": Route("work", "extract"),
    "question": Route("work", "answer"),
    "open-ended": Route("reason", "resolve"),
    "nothing": Route("ignore"),
    UNSURE: Route("work", "answer"),
}


def found(
    label: str | None, confidence: float | None = None, listener: str = "l", duplicate_of: str | None = None
) -> Finding:
    return Finding(
        listener=listener, label=label, confidence=confidence, duplicate_of=duplicate_of, call_id=f"call-{listener}"
    )


findings = st.lists(
    st.builds(found, st.sampled_from([None, "order", "question", "nothing", "strange"]), st.none() | st.floats(0, 1)),
    max_size=6,
)
rules = st.sampled_from(sorted(COMBINE))


def test_every_rule_has_its_code() -> None:
    assert set(COMBINE) == set(get_args(CombineRule))


def test_first_takes_the_order_of_the_file() -> None:
    choice = choose([found(None), found("question", 0.1), found("order", 0.9)], "first", ROUTES)
    assert choice == RouteChoice(("question", "order"), 0.1, Route("work", "answer"))


def test_most_confident_takes_the_surest_and_an_unknown_confidence_is_the_least() -> None:
    choice = choose([found("nothing"), found("question", 0.1), found("order", 0.9)], "most-confident", ROUTES)
    assert choice == RouteChoice(("order", "question", "nothing"), 0.9, Route("work", "extract"))


def test_equally_sure_findings_keep_the_order_of_the_file() -> None:
    choice = choose([found("question", 0.5), found("order", 0.5)], "most-confident", ROUTES)
    assert choice.intents == ("question", "order")


def test_vote_takes_the_most_frequent_label_and_its_surest_confidence() -> None:
    votes = [found("order", 0.99), found("question", 0.2), found("question", 0.4)]
    assert choose(votes, "vote", ROUTES) == RouteChoice(("question", "order"), 0.4, Route("work", "answer"))


def test_a_tie_of_votes_goes_to_the_surest() -> None:
    assert choose([found("order", 0.2), found("question", 0.4)], "vote", ROUTES).intents == ("question", "order")


@given(findings, rules, st.integers(0, 6))
def test_a_duplicate_always_wins(some: list[Finding], rule: CombineRule, place: int) -> None:
    some.insert(place, found(DUPLICATE, 0.9, "seen", duplicate_of="earlier"))
    choice = choose(some, rule, ROUTES)
    assert (choice.intents[0], choice.confidence, choice.duplicate_of) == (DUPLICATE, 0.9, "earlier")
    assert set(choice.intents[1:]) == {finding.label for finding in some} - {DUPLICATE, None}
    assert choice.route == Route("duplicate")
    assert choose(some, rule, {**ROUTES, DUPLICATE: Route("work", "file")}).route == Route("work", "file")


@given(rules, st.integers(0, 3))
def test_with_nothing_found_the_event_is_unsure(rule: CombineRule, listeners: int) -> None:
    assert choose([found(None, 0.9)] * listeners, rule, ROUTES) == RouteChoice((UNSURE,), None, ROUTES[UNSURE])


@given(rules)
def test_an_intent_without_a_route_is_kept_and_routed_as_unsure(rule: CombineRule) -> None:
    choice = choose([found("strange", 0.9)], rule, ROUTES)
    assert (choice.intents, choice.route) == (("strange",), ROUTES[UNSURE])


@given(findings, rules)
def test_every_event_has_one_route_and_every_label_is_kept_once(some: list[Finding], rule: CombineRule) -> None:
    choice = choose(some, rule, ROUTES)
    labels = {finding.label for finding in some if finding.label is not None}
    assert sorted(choice.intents) == sorted(labels or {UNSURE})
    assert choice.route == ROUTES.get(choice.intents[0], ROUTES[UNSURE])


def test_the_deciding_finding_is_the_one_with_the_intent() -> None:
    rules, classifier = found(None, listener="rules"), found("order", listener="classifier")
    assert deciding([rules, classifier], "order") is classifier


def test_the_deciding_finding_of_a_duplicate_is_the_match() -> None:
    label, match = found("photo", listener="photo"), found(DUPLICATE, listener="seen", duplicate_of="earlier")
    assert deciding([label, match], DUPLICATE) is match


def test_of_an_unsure_verdict_the_first_finding_stands_for_all() -> None:
    first = found(None, listener="rules")
    assert deciding([first, found(None)], UNSURE) is first
    assert deciding([], UNSURE) is None
