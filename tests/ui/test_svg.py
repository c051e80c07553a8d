"""Plots: escaped texts, a description, round ticks, gaps, and values inside the picture."""

from __future__ import annotations

import re

import pytest

from streams.ui.svg import (
    Estimate,
    Series,
    bar_plot,
    extent,
    interval_plot,
    line_plot,
    reliability_plot,
    sparkline,
    tag,
    ticks,
)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 97, [0, 20, 40, 60, 80]), (-3, 3, [-2, 0, 2]), (5, 5, [5])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_texts_and_attributes_are_escaped() -> None:
    assert tag("text", "<i>", aria_label='"x"', class_=None) == '<text aria-label="&#34;x&#34;">&lt;i&gt;</text>'


def test_a_missing_value_is_a_gap_in_its_line() -> None:
    drawn = line_plot("Calls.", [Series("a", [(0, 1.0), (1, 2.0), (2, None), (3, 3.0)])], str, str, limit=4.0)
    assert drawn.count('class="line"') == 1
    assert drawn.count("<circle") == 1
    assert drawn.count('class="limit"') == 1


def test_every_plot_is_an_image_with_a_sentence() -> None:
    one = Estimate(0.5, 0.4, 0.3, 0.6)
    plots = [
        line_plot("It is <so>.", [], str, str),
        bar_plot("It is <so>.", [("a", 1.0, "worker"), ("b", None, "")], str),
        interval_plot("It is <so>.", [("a", one)], str),
        reliability_plot("It is <so>.", [one], 0.8),
        sparkline("It is <so>.", [1.0, None, 2.0]),
    ]
    for plot in plots:
        assert plot.startswith("<svg")
        assert 'role="img" aria-label="It is &lt;so&gt;."' in plot
        assert not re.search(r"nan|inf", plot)


def test_a_range_without_values_or_width_can_still_be_drawn() -> None:
    assert extent([]) == extent([None, float("nan")]) == (0.0, 1.0)
    assert extent([0.0]) == (0.0, 1.0)
    assert extent([3.0], zero=False) == (3.0, 4.0)
