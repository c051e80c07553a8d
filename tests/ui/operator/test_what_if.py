"""The page on thresholds, on an audit with labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.core.messages import Call
from streams.pipeline.load import Pipeline
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.what_if import thresholds_part
from tests.harness.audit import write
from tests.harness.confidence import calibration, with_artifact
from tests.harness.operator_pages import operator_site, visitor
from tests.harness.shop import PIPELINE, honest_cases, messages_of, shop

pytestmark = pytest.mark.embedded
RUN = "live"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(
        tmp_path_factory.mktemp("shop"), PIPELINE.replace("threshold = 0.8", 'threshold = 0.8\nreasoner = "think"')
    )


def decided(made: Call) -> Call:
    """The call as a threshold of 0.8 decided."""
    sure = made.raw_confidence is not None and made.raw_confidence >= 0.8
    return replace(made, confidence=made.raw_confidence, decision="accepted" if sure else "escalated")


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig, pipeline: Pipeline) -> ClickHouseConfig:
    """100 answers with scores from 0.5 to 1; those from 0.8 on are accepted, and none was passed on and answered."""
    rows = messages_of(honest_cases(100, seed=3), pipeline.workers["answer"].version, RUN)
    write(config, *(decided(row) if isinstance(row, Call) else row for row in rows))
    return config


@pytest.fixture
def site(config: ClickHouseConfig, pipeline: Pipeline, tmp_path: Path) -> Iterator[OperatorSite]:
    made = operator_site(Audit(config), tmp_path, pipeline)
    yield made
    made.reads.close()


async def test_a_threshold_of_0_9_is_answered_beside_the_present_one(site: OperatorSite) -> None:
    shown = await thresholds_part(site, {"threshold.answer": "0.9"})
    assert '<output class="value" data-column="0" for="slider-answer">0.9</output>' in shown
    assert 'value="36"' in shown  # the place of 0.9 on the slider
    assert '<th scope="row">now</th><td>0.8</td>' in shown
    assert "escalon what-if -p pipeline.toml --since 2026-11-01T12:00:00Z --set workers.answer.threshold=" in shown
    assert len(re.findall(r"<tr><td>\d", shown)) == 41
    assert "100 of its newest 100 events have one" in shown


async def test_the_slider_rests_at_the_present_threshold_until_another_is_chosen(site: OperatorSite) -> None:
    resting, moved = [await thresholds_part(site, asked) for asked in ({}, {"threshold.answer": "0.9"})]
    assert 'value="32" data-rest="32"' in resting
    assert 'value="36" data-rest="32"' in moved
    assert ("sheet at-rest" in resting, "sheet at-rest" in moved) == (True, False)


@pytest.mark.parametrize("wrong", ["high", "1.7", "nan"])
async def test_a_threshold_that_is_none_is_refused(site: OperatorSite, wrong: str) -> None:
    with pytest.raises(ConfigError, match="not a number from 0 to 1"):
        await thresholds_part(site, {"threshold.answer": wrong})


async def test_a_run_without_events_says_so_on_the_page(site: OperatorSite) -> None:
    assert "No event of this run was routed to it." in await thresholds_part(site, {"run": "other"})


async def test_the_page_has_a_form_that_works_without_a_script(site: OperatorSite) -> None:
    async with visitor(site) as operator:
        await thresholds_part(site, {})  # so that the page has it at once
        shown = (await operator.get("/what-if?threshold.answer=0.9")).text
    assert 'name="threshold.answer" form="thresholds"' in shown
    assert 'src="/static/what_if.js"' in shown


async def test_after_a_calibration_the_raw_threshold_is_shown_and_the_line_to_replace_is_named(
    config: ClickHouseConfig, pipeline: Pipeline, tmp_path: Path
) -> None:
    calibrated = with_artifact(pipeline, calibration(handler="answer", threshold=0.994, raw_threshold=0.935))
    named = calibrated.spec.workers["answer"].model_copy(update={"calibration": "calibration/answer.json"})
    spec = calibrated.spec.model_copy(update={"workers": {**calibrated.spec.workers, "answer": named}})
    site = operator_site(Audit(config), tmp_path, replace(calibrated, spec=spec))
    shown = await thresholds_part(site, {})
    site.reads.close()
    assert '<th scope="row">now</th><td>0.935</td>' in shown
    assert 'for="slider-answer">0.935</output>' in shown
    assert "0.994" not in shown
    assert 'in place of the line <code>calibration = "calibration/answer.json"</code>' in shown


async def test_without_a_pipeline_the_page_says_what_it_needs(config: ClickHouseConfig, tmp_path: Path) -> None:
    site = operator_site(Audit(config), tmp_path)
    assert "No pipeline file is known here" in await thresholds_part(site, {})
