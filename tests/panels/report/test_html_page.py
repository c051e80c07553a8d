"""The page and the JSON document of a panel's results."""

from __future__ import annotations

import json
import re

import pytest

from streams.panels.evidence import evidence_of
from streams.panels.report.html_page import page
from streams.panels.report.json_document import document
from streams.panels.report.results import PanelResults, panel_results
from tests.harness.panels import ERRORS_ONLY, case, panel, said
from tests.harness.simulated_panel import Simulation


@pytest.fixture(scope="module")
def found() -> PanelResults:
    return panel_results(Simulation(judge=200).evidence(stop="error <= 0.05"))


def test_the_page_needs_no_script_and_no_network(found: PanelResults) -> None:
    made = page(found)
    assert "<script" not in made
    assert "default-src 'none'" in made
    assert not re.search(r'(src|href)="(?!#)', made)


def test_the_page_has_the_conclusion_each_table_and_the_plots(found: PanelResults) -> None:
    made = page(found)
    titles = ("Wrong answers", "Questions", "Agreement of the raters", "Raters", "Models as judges", "Strengths of the")
    assert [title for title in titles if title not in made] == []
    assert made.count("<svg") == 3  # wrong answers, the claim's bounds, the comparison
    assert "error &lt;= 0.05" in made


def test_names_are_escaped() -> None:
    rated = [said("c1", "<b>anna</b>", "yes")]
    made = page(panel_results(evidence_of(panel(raters_per_case=1, rubric=ERRORS_ONLY), [case(1)], rated)))
    assert "<b>anna" not in made
    assert "&lt;b&gt;anna" in made


def test_a_panel_without_judgements_has_a_page() -> None:
    made = page(panel_results(evidence_of(panel(), [case(1)], [])))
    assert "No case has been judged yet." in made
    assert "<svg" not in made


def test_the_document_is_json_with_the_words_and_the_figures(found: PanelResults) -> None:
    made = document(found)
    assert made["conclusion"].startswith('"error <= 0.05"')
    assert (made["panel"], made["tasks"], made["progress"]["counted"]) == ("week-48", 2000, 120)
    assert [one["name"] for one in made["questions"]] == ["right", "tone", "better"]
    assert made["errors"][0]["part"] == "all answers"
    assert made["raters"][0]["gold"] == {"hits": 0, "n": 0, "value": None, "low": None, "high": None}
    json.dumps(made, default=str)
