from __future__ import annotations

import math

import pytest

from streams.panels.estimation.strengths import Pairing, Strengths, bradley_terry

TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)
"""The American League of 1987: wins of the row against the column (Agresti 1990, Categorical Data Analysis, 10.6)."""
PUBLISHED = (1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0)
"""Their strengths above Baltimore's, as logits: Agresti's to two digits, statsmodels' Logit to three."""


def games(times: float = 1.0) -> list[Pairing]:
    return [
        Pairing(TEAMS[row], TEAMS[column], 1.0, times)
        for row, wins in enumerate(WINS)
        for column, won in enumerate(wins)
        for _ in range(won)
    ]


def by_name(found: Strengths) -> dict[str, float]:
    return {one.handler: one.value for one in found.handlers}


def test_the_published_example_has_its_published_strengths() -> None:
    found = by_name(bradley_terry(games()))
    assert [found[team] - found["Baltimore"] for team in TEAMS] == pytest.approx(PUBLISHED, abs=5e-4)


def test_the_strongest_comes_first_and_their_mean_is_0() -> None:
    found = bradley_terry(games()).handlers
    assert [one.handler for one in found] == list(TEAMS)
    assert sum(one.value for one in found) == pytest.approx(0, abs=1e-9)
    assert {one.comparisons for one in found} == {78}


def test_intervals_hold_the_strengths_and_distinguish_the_best_from_the_worst() -> None:
    best, *_, worst = bradley_terry(games()).handlers
    assert best.low < best.value < best.high
    assert best.low > worst.high


def test_a_weight_counts_as_so_many_comparisons() -> None:
    often = [Pairing("a", "b", 1.0, 1.0)] * 6 + [Pairing("a", "b", 0.0, 1.0)] * 2
    weighted = [Pairing("a", "b", 1.0, 3.0), Pairing("a", "b", 0.0, 1.0)]
    assert by_name(bradley_terry(weighted)) == pytest.approx(by_name(bradley_terry(often)))


def test_of_two_handlers_the_difference_is_the_logit_of_the_win_rate_with_ties_as_half() -> None:
    found = by_name(bradley_terry([Pairing("a", "b", 1.0, 1.0), Pairing("b", "a", 0.5, 1.0)]))
    assert found["a"] - found["b"] == pytest.approx(math.log(3))


def test_a_strength_gives_the_chance_to_win() -> None:
    best, other = bradley_terry([Pairing("a", "b", 1.0, 3.0), Pairing("a", "b", 0.0, 1.0)]).handlers
    assert best.beats(other) == pytest.approx(0.75)


def test_handlers_that_nothing_compares_have_no_common_scale() -> None:
    apart = [Pairing("a", "b", 0.5, 1.0), Pairing("c", "d", 0.5, 1.0)]
    found = bradley_terry(apart)
    assert not found.handlers
    assert found.why_not.startswith("Nothing compares a and b with the other handlers")


def test_a_handler_that_never_lost_is_named() -> None:
    found = bradley_terry([Pairing("a", "b", 0.5, 1.0), Pairing("c", "b", 1.0, 1.0)])
    assert not found.handlers
    assert found.why_not.startswith("No other handler has ever won against c")


def test_no_comparison_gives_no_strength() -> None:
    assert bradley_terry([]) == Strengths((), "Strengths need comparisons of at least two handlers.")
