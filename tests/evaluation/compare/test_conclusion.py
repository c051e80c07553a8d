from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.evaluation.compare.conclusion import conclude
from streams.evaluation.compare.paired_statistics import DifferenceEstimate, Paired
from streams.evaluation.compare.preference import Accuracy, CostComparison, Quality, cost_of, quality_of

MIRROR: dict[str, set[Quality]] = {
    "better": {"worse", "slightly worse"},
    "worse": {"better"},
    "slightly worse": {"better"},
}


def accuracy(events: int, differing: int, apart: Paired, alike: Paired | None = None) -> Accuracy:
    return Accuracy(aspect="answer", events=events, differing=differing, alike=alike or Paired(), apart=apart)


def spending(
    low: float | None = -0.5, high: float | None = -0.1, *, known: int = 1000, mean_b: float = 0.69
) -> CostComparison:
    change = DifferenceEstimate(mean_b - 1, low, high)
    return CostComparison(events=1000, known=known, mean_a=1.0, mean_b=mean_b, difference=change)


ALIKE = Paired(both=1000, neither=152)
CLOSE = accuracy(5000, 355, Paired(both=10, only_a=36, only_b=34, neither=8), ALIKE)
FEW = accuracy(1000, 300, Paired(both=4, only_a=4, only_b=3, neither=1))


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (CLOSE, "B is as good as A within 2 points (-1.5 to +1.2; 1,240 labelled events) and costs 31 % less."),
        (
            FEW,
            "Too few labelled events to say which is right more often: of 300 with different answers 12 are labelled, "
            "and a difference of 2 points takes about 3,700 events in both runs. B costs 31 % less.",
        ),
        (
            accuracy(10_000, 1000, Paired(both=4, only_a=4, only_b=3, neither=1)),
            "Too few labelled events to say which is right more often: of 1,000 with different answers 12 are "
            "labelled, and about 130 are needed to see a difference of 2 points. B costs 31 % less.",
        ),
        (
            accuracy(1000, 100, Paired()),
            "It is unknown which is right more often: of 100 events with different answers none is labelled, and a "
            "difference of 2 points takes about 2,000 events in both runs. B costs 31 % less.",
        ),
        (
            accuracy(1000, 8, Paired()),
            "B is as good as A within 2 points, regardless of the labels (only 8 of 1,000 answers differ), and costs "
            "31 % less.",
        ),
        (
            accuracy(10, 0, Paired()),
            "No answer differs, but 10 events are too few to rule out a difference of 2 points; about 190 are needed. "
            "B costs 31 % less.",
        ),
    ],
)
def test_the_sentence_says_what_the_labels_bear_out(found: Accuracy, sentence: str) -> None:
    assert conclude(found, spending(), 0.02).sentence == sentence


@pytest.mark.parametrize(
    ("apart", "quality"),
    [
        (Paired(only_a=10, only_b=190), "better"),
        (Paired(only_a=190, only_b=10), "worse"),
        (Paired(both=120, only_a=55, only_b=25), "slightly worse"),
        (Paired(both=190, only_a=5, only_b=5), "as good"),
        (Paired(both=0, only_a=113, only_b=87), "too close"),
        (Paired(only_b=4), "too few"),
        (Paired(), "unlabelled"),
    ],
)
def test_each_conclusion_is_reached(apart: Paired, quality: Quality) -> None:
    assert quality_of(accuracy(2000, 200, apart), 0.02 if quality != "slightly worse" else 0.04) == quality


def test_five_wins_and_no_loss_prove_nothing_but_six_do() -> None:
    assert quality_of(accuracy(10, 10, Paired(only_b=5)), 0.02) == "too few"
    assert quality_of(accuracy(10, 10, Paired(only_b=6)), 0.02) == "better"


def test_labelling_only_what_changed_does_not_exaggerate() -> None:
    # Of the 100 changed answers among 100,000 B wins 30 and loses 60: worse, but by 0.03 points.
    apart = Paired(both=5, only_a=60, only_b=30, neither=5)
    verdict = conclude(accuracy(100_000, 100, apart), spending(), 0.02)
    assert verdict.quality == "slightly worse"
    assert "worse than A, but by less than 2 points (0.011 to 0.049; 100 labelled events)" in verdict.sentence


@pytest.mark.parametrize(
    ("spent", "cost", "words"),
    [
        (spending(), "less", "costs 31 % less."),
        (spending(0.1, 0.2, mean_b=1.032), "more", "costs 3.2 % more."),
        (spending(0.0, 0.0, mean_b=1.0), "the same", "costs the same."),
        (spending(-0.1, 0.1), "unclear", "It is unclear whether B costs less."),
        (spending(None, None), "unclear", "It is unclear whether B costs less."),
        (spending(known=949), "unknown", "The cost in both runs is known for only 949 of 1,000 events."),
    ],
)
def test_the_cost_is_stated_only_where_it_is_known(spent: CostComparison, cost: str, words: str) -> None:
    assert cost_of(spent) == cost
    for found in (CLOSE, FEW):
        assert conclude(found, spent, 0.02).sentence.endswith(words)


def test_of_what_costs_nothing_no_share_is_taken() -> None:
    spent = CostComparison(
        events=100, known=100, mean_a=0.0, mean_b=0.002, difference=DifferenceEstimate(0.002, 0.001, 0.003)
    )
    assert "costs $0.0020 an event, where A costs nothing" in conclude(FEW, spent, 0.02).sentence


@given(*[st.integers(0, 80)] * 4, st.integers(0, 400), st.integers(0, 4000))
def test_who_is_better_one_way_round_is_worse_the_other(
    both: int, only_a: int, only_b: int, neither: int, more: int, alike: int
) -> None:
    apart = Paired(both, only_a, only_b, neither)
    differing = apart.n + more
    one = quality_of(accuracy(differing + alike, differing, apart), 0.02)
    other = quality_of(accuracy(differing + alike, differing, Paired(both, only_b, only_a, neither)), 0.02)
    if one in MIRROR:
        assert other in MIRROR[one]
    elif one in ("unlabelled", "too few", "too close"):
        assert other in ("unlabelled", "too few", "too close", "as good")


def test_the_shares_right_do_not_depend_on_which_answers_were_labelled_more_often() -> None:
    truth = accuracy(1000, 100, Paired(10, 40, 30, 20), Paired(both=810, neither=90))
    fewer = accuracy(1000, 100, Paired(10, 40, 30, 20), Paired(both=9, neither=1))
    assert fewer.shares == pytest.approx((0.86, 0.85))
    assert truth.shares == pytest.approx((0.86, 0.85))
    assert accuracy(1000, 100, Paired(10, 40, 30, 20)).shares is None
    assert accuracy(1000, 100, Paired(), Paired(both=9)).shares is None
