from __future__ import annotations

import pytest

from streams.panels.estimation.agreement import rater_agreement

OBSERVERS = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)
"""Example C of Krippendorff 2011, Computing Krippendorff's Alpha-Reliability: 4 observers, 12 units, 5 values."""
THREE = (
    "3 3 2 . 1 3 3 1 . 1 1 3 . 1 . 3 1 3 1 2 3 1 2 3 3 . 2 2 . 2",
    "3 2 3 3 . 3 3 1 2 1 1 3 . . 2 . 3 1 . 2 3 3 2 1 3 1 3 2 . 2",
    "3 2 3 3 2 2 3 . 3 . 3 . 3 1 . 3 1 . 1 . . 1 . . 3 2 3 2 2 3",
)
"""30 items with three ordered choices, rated by up to three raters."""


def items(rows: tuple[str, ...]) -> list[dict[str, str]]:
    by_rater = [row.split() for row in rows]
    return [
        {f"rater {number}": choice for number, choice in enumerate(column) if choice != "."}
        for column in zip(*by_rater, strict=True)
    ]


@pytest.mark.parametrize(("ordered", "alpha", "ac2"), [(False, 0.743, 0.77544), (True, 0.815, 0.89894)])
def test_the_published_example_has_its_published_values(ordered: bool, alpha: float, ac2: float) -> None:
    """Alpha as in Krippendorff 2011, AC1 as in Gwet 2014; AC2 with ordinal weights by irrCAC 0.4.4."""
    found = rater_agreement(items(OBSERVERS), list("12345"), ordered=ordered)
    assert found.alpha is not None
    assert found.ac2 is not None
    assert found.alpha.value == pytest.approx(alpha, abs=5e-4)
    assert found.ac2.value == pytest.approx(ac2, abs=5e-5)
    assert (found.raters, found.cases, found.why_not) == (4, 11, "")


@pytest.mark.parametrize(("ordered", "ac2"), [(False, 0.43319), (True, 0.41442)])
def test_ac2_with_many_missing_ratings_is_that_of_irrcac(ordered: bool, ac2: float) -> None:
    """The values are those of `CAC(..., weights="identity" or "ordinal").gwet()` of irrCAC 0.4.4."""
    found = rater_agreement(items(THREE), list("123"), ordered=ordered)
    assert found.ac2 is not None
    assert found.ac2.value == pytest.approx(ac2, abs=5e-5)


def test_intervals_hold_the_value_and_are_narrower_with_more_cases() -> None:
    few = rater_agreement(items(THREE), list("123")).ac2
    many = rater_agreement(items(THREE) * 4, list("123")).ac2
    assert few is not None
    assert many is not None
    assert few.low < few.value < few.high
    assert many.high - many.low < 0.7 * (few.high - few.low)


def test_items_of_one_case_are_resampled_together() -> None:
    twice = items(THREE) * 2
    apart = rater_agreement(twice, list("123")).ac2
    together = rater_agreement(twice, list("123"), cases=[str(number) for number in range(30)] * 2).ac2
    assert apart is not None
    assert together is not None
    assert together.value == apart.value
    assert together.high - together.low > 1.2 * (apart.high - apart.low)


def test_alpha_suffers_where_one_verdict_dominates_and_ac2_does_not() -> None:
    both, one = {"anna": "yes", "ben": "yes"}, {"anna": "yes", "ben": "no"}
    found = rater_agreement([both] * 38 + [one, {"anna": "no", "ben": "yes"}], ["yes", "no"])
    assert found.alpha is not None
    assert found.ac2 is not None
    assert found.alpha.value < 0.05
    assert found.ac2.value > 0.9


def test_raters_who_all_chose_the_same_have_ac2_alone() -> None:
    found = rater_agreement([{"anna": "yes", "ben": "yes"}] * 5, ["yes", "no"])
    assert found.alpha is None
    assert found.ac2 is not None
    assert found.ac2.value == 1
    assert "chose the same" in found.why_not


@pytest.mark.parametrize("verdicts", [[], [{}], [{"anna": "yes"}, {"ben": "no"}]])
def test_without_a_case_of_two_raters_it_says_so(verdicts: list[dict[str, str]]) -> None:
    found = rater_agreement(verdicts, ["yes", "no"])
    assert (found.alpha, found.ac2, found.cases) == (None, None, 0)
    assert "two raters" in found.why_not


def test_a_single_case_has_no_interval_and_says_so() -> None:
    found = rater_agreement([{"anna": "yes", "ben": "no"}], ["yes", "no"])
    assert found.alpha is not None
    assert "only one case" in found.why_not
