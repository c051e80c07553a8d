from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.economy_plots import Draws, plot_cost_quality, plot_draws
from streams.core.errors import ConfigError

pytest.importorskip("matplotlib")

SHARES = np.linspace(0, 1, 21).tolist()


def draw_cost_quality(path: Path) -> None:
    curve = SHARES, [0.6 + 0.3 * share**0.5 for share in SHARES]
    plot_cost_quality(path, {"by confidence": curve}, "What a call buys", worker=0.6, reasoner=0.9)


def draw_draws(path: Path) -> None:
    rows = [Draws(method, n, 1 / n, 0.5) for method in ("naive", "exact") for n in (2000, 200)]
    plot_draws(path, rows, "Broken draws", allowed=0.05)


@pytest.mark.parametrize("draw", [draw_cost_quality, draw_draws])
def test_a_picture_is_the_same_each_time(draw: Callable[[Path], None], tmp_path: Path) -> None:
    draw(tmp_path / "one.svg")
    draw(tmp_path / "two.svg")
    drawn = (tmp_path / "one.svg").read_bytes()
    assert drawn == (tmp_path / "two.svg").read_bytes()
    assert drawn.count(b"<path") > 20


def test_more_lines_than_colours_are_refused(tmp_path: Path) -> None:
    curves = {f"way {number}": (SHARES, SHARES) for number in range(7)}
    with pytest.raises(ConfigError, match="7 curves are more than 6"):
        plot_cost_quality(tmp_path / "plot.svg", curves, "Too many", worker=0.6, reasoner=0.9)


def test_no_draws_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no draws"):
        plot_draws(tmp_path / "plot.svg", [], "Nothing")
