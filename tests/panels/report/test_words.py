"""The report's conclusion and cautions in plain words."""

from __future__ import annotations

from typing import Any

from streams.core.messages import Judgement, PanelCase
from streams.panels.evidence import PanelEvidence, evidence_of
from streams.panels.report.results import panel_results
from streams.panels.report.words import cautions, conclusion, headline, standing
from tests.harness.panels import ERRORS_ONLY, OPTIONS, PICK_ONLY, answer, case, pair, panel, said, skipped, stratum


def judged(count: int, wrong: int = 0, *more: Judgement, **fields: Any) -> PanelEvidence:
    """A panel of 1,000 tasks whose first cases are judged by anna, the first of them as wrong."""
    cases = [case(number, probability=count / 1000) for number in range(1, count + 1)]
    rated = [said(f"c{n}", "anna", "no" if n <= wrong else "yes") for n in range(1, count + 1)]
    made = panel(stratum(tasks=1000), **{"raters_per_case": 1, "rubric": ERRORS_ONLY} | fields)
    return evidence_of(made, cases, [*rated, *more])


def concluded(evidence: PanelEvidence) -> str:
    return conclusion(panel_results(evidence))


def warned(evidence: PanelEvidence) -> str:
    return " ".join(cautions(panel_results(evidence)))


def compared(winners: list[str]) -> PanelEvidence:
    cases: list[PanelCase] = [pair(n, probability=0.1) for n in range(1, len(winners) + 1)]
    rated = [said(f"c{n}", "anna", winner, "better") for n, winner in enumerate(winners, 1)]
    return evidence_of(panel(stratum(tasks=1000), raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS), cases, rated)


def test_a_narrow_interval_is_said_without_a_call_for_more() -> None:
    words = concluded(judged(200, 6))
    assert words.startswith("1.")
    assert words.endswith(" % of the answers that left the stream are wrong, with certainty 95 %.")


def test_a_wide_interval_is_underpowered_by_a_number_of_cases_and_minutes() -> None:
    found = panel_results(judged(20, 4))
    assert found.further_cases is not None
    assert 100 < found.further_cases < 400
    # Half a minute a case, one rater.
    assert found.further_minutes == found.further_cases / 2
    asked = f"Underpowered: about {found.further_cases} more cases (about "
    assert asked in conclusion(found)


def test_more_cases_are_needed_from_two_raters() -> None:
    again = [said(f"c{n}", "ben", "no" if n <= 4 else "yes") for n in range(1, 21)]
    alone, both = panel_results(judged(20, 4)), panel_results(judged(20, 4, *again, raters_per_case=2))
    assert alone.further_cases == both.further_cases
    assert alone.further_minutes is not None
    assert both.further_minutes == 2 * alone.further_minutes


def test_a_panel_without_judgements_says_so() -> None:
    words = concluded(evidence_of(panel(rubric=ERRORS_ONLY), [case(1)], []))
    assert words == "No case has been judged yet."


def test_an_unfinished_first_case_is_named_as_the_reason_for_no_figures() -> None:
    words = concluded(evidence_of(panel(rubric=ERRORS_ONLY), [case(1)], [said("c1", "anna", "yes")]))
    assert words == "No figure counts yet: the first case of the draw is not finished by its 2 raters."


def test_a_clear_win_names_the_better_option() -> None:
    assert concluded(compared(["reasoner"] * 18 + ["worker"] * 2)).startswith(
        "Of the two, reasoner is better than worker"
    )
    assert concluded(compared(["worker"] * 18 + ["reasoner"] * 2)).startswith(
        "Of the two, worker is better than reasoner"
    )


def test_an_unclear_win_rate_is_undecided_and_underpowered() -> None:
    words = concluded(compared(["reasoner"] * 6 + ["worker"] * 4))
    assert words.startswith("Which of worker and reasoner is better is undecided: reasoner wins 60.0 %")
    assert "Underpowered: about" in words


def test_a_decided_claim_is_the_conclusion() -> None:
    words = concluded(judged(200, 0, stop="error <= 0.05"))
    assert words.startswith('"error <= 0.05" holds after ')
    assert "Underpowered" not in words


def test_an_open_claim_says_how_many_cases_would_decide_it() -> None:
    words = concluded(judged(30, 0, stop="error <= 0.05"))
    assert words.startswith('"error <= 0.05" is not decided after 30 cases')
    assert "more cases (about" in words
    assert "would decide it" in words


def test_cases_after_an_unfinished_one_are_said_not_to_count_yet() -> None:
    cases = [case(1), case(2), case(3)]
    rated = [said(one, "anna", "yes") for one in ("c1", "c3")]
    words = warned(evidence_of(panel(raters_per_case=1, rubric=ERRORS_ONLY), cases, rated))
    assert "1 case judged after the first unfinished one do not count yet" in words


def test_skipped_and_disputed_cases_are_named() -> None:
    cases = [case(1), case(2)]
    rated = [skipped("c1", "anna"), skipped("c1", "ben"), said("c2", "anna", "yes"), said("c2", "ben", "no")]
    words = warned(evidence_of(panel(rubric=ERRORS_ONLY), cases, rated))
    assert "All raters skipped 1 case, or the event was erased" in words
    assert "In 1 case the raters disagree" in words


def test_an_adjudicated_case_is_not_disputed() -> None:
    rated = [said("c1", "anna", "yes"), said("c1", "ben", "no"), said("c1", "zoe", "no", kind="adjudication")]
    assert "disagree." not in warned(evidence_of(panel(rubric=ERRORS_ONLY), [case(1)], rated))


def test_raters_who_agree_no_better_than_chance_are_warned_of() -> None:
    cases = [case(n) for n in range(1, 41)]
    rated = [said(f"c{n}", "anna", "yes" if n % 2 else "no") for n in range(1, 41)]
    rated += [said(f"c{n}", "ben", "yes" if n % 4 < 2 else "no") for n in range(1, 41)]
    assert "The raters hardly agree in 'right' (alpha 0.01)" in warned(
        evidence_of(panel(rubric=ERRORS_ONLY), cases, rated)
    )


def test_four_comparisons_call_no_option_the_better_one() -> None:
    winners = ["reasoner"] * 4
    cases = [pair(n, probability=0.99) for n in range(1, 5)]
    rated = [said(f"c{n}", "anna", winner, "better") for n, winner in enumerate(winners, 1)]
    made = panel(stratum(tasks=6), raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS)
    assert concluded(evidence_of(made, cases, rated)).startswith(
        "4 comparisons are too few to say which of worker and reasoner is better."
    )


def test_a_panel_that_was_closed_early_is_named() -> None:
    cases = [case(n) for n in (1, 2)]
    early, whole = (
        evidence_of(
            panel(raters_per_case=1, rubric=ERRORS_ONLY, state="closed"),
            cases,
            [said(one.case_id, "anna", "yes") for one in cases[:count]],
        )
        for count in (1, 2)
    )
    assert "The panel was closed before its last case." in warned(early)
    assert "closed" not in warned(whole)


def test_a_rater_who_misses_the_gold_cases_is_named() -> None:
    gold = [case(0, case_id=f"g{n}", purpose="gold", expected="yes") for n in range(12)]
    rated = [said(one.case_id, "anna", "no" if n % 3 else "yes") for n, one in enumerate(gold)]
    words = warned(evidence_of(panel(raters_per_case=1, rubric=ERRORS_ONLY), gold, rated))
    assert "anna judged 33.3 %" in words


def test_the_position_effect_is_named() -> None:
    cases = [pair(n) for n in range(1, 21)]
    rated = [said(f"c{n}", "anna", "worker", "better", left="worker") for n in range(1, 21)]
    made = panel(raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS)
    assert "The left answer won 100.0 %" in warned(evidence_of(made, cases, rated))


def test_the_headline_and_the_standing_say_which_panel_and_how_far() -> None:
    found = panel_results(judged(2, 1))
    assert headline(found) == (
        "Panel week-48 (open): Errors. 1,000 tasks of the run live from 2026-11-01 12:00 to 2026-11-08 12:00."
    )
    assert standing(found) == (
        "2 of 2 cases are finished by a rater or adjudicated; the first 2 of the draw count. 1 person made 2 "
        "judgements, in 1 minute."
    )


def test_pairs_that_are_half_of_the_cases_need_twice_as_many_cases() -> None:
    winners = ["reasoner"] * 6 + ["worker"] * 4
    every = panel_results(compared(winners)).further_cases
    cases: list[PanelCase] = [pair(n, probability=0.1) for n in range(1, 11)]
    cases += [case(n, answer("worker"), probability=0.1) for n in range(11, 21)]
    rated = [said(f"c{n}", "anna", winner, "better") for n, winner in enumerate(winners, 1)]
    made = panel(stratum(tasks=2000), raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS)
    half = panel_results(evidence_of(made, cases, rated)).further_cases
    assert every is not None
    assert half == 2 * every
