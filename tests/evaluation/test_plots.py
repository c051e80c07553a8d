from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from streams.core.errors import ConfigError
from streams.evaluation.plots import GuaranteeCurve, plot_guarantee, plot_reliability
from streams.evaluation.reliability import reliability

matplotlib = pytest.importorskip("matplotlib")

SHARES = np.linspace(0, 1, 21).tolist()


def draw_reliability(path: Path) -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(200)
    plot_reliability(path, reliability(probability, rng.random(200) < probability), "Worker, raw")


def draw_guarantee(path: Path) -> None:
    errors = [0.3 * (1 - share) for share in SHARES[:-1]] + [float("nan")]
    coverages = [1 - share for share in SHARES]
    plot_guarantee(path, GuaranteeCurve(SHARES, errors, coverages, 0.1, 0.8, 0.09), "Error and coverage")


PLOTS = [draw_reliability, draw_guarantee]
every_plot = pytest.mark.parametrize("draw", PLOTS)
Draw = Callable[[Path], None]


@every_plot
def test_an_svg_needs_no_font_of_the_reader_and_is_the_same_each_time(draw: Draw, tmp_path: Path) -> None:
    draw(tmp_path / "one.svg")
    draw(tmp_path / "two.svg")
    drawn = (tmp_path / "one.svg").read_bytes()
    assert drawn == (tmp_path / "two.svg").read_bytes()
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own file
    assert root.tag.endswith("svg")
    assert not list(root.iter("{http://www.w3.org/2000/svg}text"))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 20
    assert b"<dc:date>" not in drawn


@every_plot
def test_a_png_is_drawn_by_its_suffix(draw: Draw, tmp_path: Path) -> None:
    draw(tmp_path / "plot.PNG")
    assert (tmp_path / "plot.PNG").read_bytes().startswith(b"\x89PNG")


@every_plot
def test_an_unknown_suffix_is_refused_and_nothing_is_written(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.svg or \.png"):
        draw(tmp_path / "plot.pdf")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        draw_guarantee(tmp_path / "nowhere" / "plot.svg")


def test_settings_of_the_user_neither_change_the_picture_nor_are_changed(tmp_path: Path) -> None:
    draw_guarantee(tmp_path / "one.svg")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 20, "svg.hashsalt": "another"}):
        draw_guarantee(tmp_path / "two.svg")
        assert matplotlib.rcParams["svg.hashsalt"] == "another"
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "matplotlib.pyplot" not in sys.modules


def test_a_threshold_that_accepts_nothing_is_drawn_without_its_error(tmp_path: Path) -> None:
    nothing = GuaranteeCurve([0.5, 1.0], [0.2, float("nan")], [0.4, 0.0], 0.1, 1.0, 1.0)
    plot_guarantee(tmp_path / "plot.svg", nothing, "Nothing accepted")
    assert (tmp_path / "plot.svg").stat().st_size > 0
