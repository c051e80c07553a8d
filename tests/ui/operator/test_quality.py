"""The page on quality, on an audit with labels and a calibration."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.messages import Call, Label
from streams.pipeline.load import Pipeline
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.quality import confidence_part
from streams.ui.operator.scope import read_scope
from streams.ui.operator.worker_quality import STATES
from streams.ui.svg import frame
from tests.builders import call, event
from tests.harness.audit import write
from tests.harness.confidence import calibration, with_artifact
from tests.harness.operator_pages import operator_site, visitor
from tests.harness.shop import honest_cases, messages_of, shop

pytestmark = pytest.mark.embedded
ARTIFACT = calibration(handler="answer")
"""On 400 raw scores from 0.5 to 1; at most a tenth of what it accepts is wrong."""
DECIDED: dict[str, Any] = {"calibration": ARTIFACT.id, "threshold": 0.75}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"))


def fill(config: ClickHouseConfig, pipeline: Pipeline, run: str, *, labels: bool) -> None:
    """Write 300 answers that the calibration accepted, of which three quarters are right, and a refusal."""
    rows = messages_of(honest_cases(300, seed=3), pipeline.workers["answer"].version, run)
    refused = call(
        event("r", run=run, hour=4.9), status="refused", refusal_class="policy", refusal_reason="<u>no</u>",
        decision="escalated", decision_reason="refused: policy",
    )  # fmt: skip
    write(
        config,
        refused,
        *(
            replace(
                row, calibration=ARTIFACT.id, confidence=row.raw_confidence, threshold=0.75, fingerprint=row.call_id
            )
            if isinstance(row, Call)
            else row
            for row in rows
            if labels or not isinstance(row, Label)
        ),
    )


def site(config: ClickHouseConfig, directory: Path, pipeline: Pipeline | None) -> OperatorSite:
    return operator_site(Audit(config), directory, pipeline)


async def part(site: OperatorSite, run: str) -> str:
    scope = await read_scope({"run": run, "hours": "720"}, site.reads, site.now())
    return str(await confidence_part(site, scope))


async def test_a_broken_guarantee_is_said_in_words_with_its_claim_and_the_labels_that_refute_it(
    config: ClickHouseConfig, pipeline: Pipeline, tmp_path: Path
) -> None:
    fill(config, pipeline, "broken", labels=True)
    shown = await part(site(config, tmp_path, with_artifact(pipeline, ARTIFACT)), "broken")
    assert '<b class="problem">answer: no longer.</b> ' + STATES["broken"][2] in shown
    assert "It says: with 95 % certainty, at most 10 % of the answers that it gives alone are wrong." in shown
    assert "0 of 300 answers missed it in the last 30 days, and the reasoner cost $0.00 for them" in shown
    assert "300 labelled tasks: you can calibrate now" in shown
    assert "escalon calibrate -p pipeline.toml --handler answer --max-error 0.1 --certainty 0.95 --run broken" in shown
    assert "from its newest 300 labelled tasks" in shown
    assert "Wrong among the accepted" in shown
    assert "0.75, which is 0.9 on the raw confidence" in shown
    assert f'd="M{frame((0.0, 1.0), (0.0, 1.0), 360, 320).x(0.9)} ' in shown  # the line of the threshold
    assert re.search(r"Labels and scores are as of 20\d\d-\d\d-\d\d \d\d:\d\d", shown)
    assert 'aria-label="answer: the share of right answers by confidence, from 300 labelled tasks"' in shown


async def test_without_labels_the_scores_are_shown_and_the_page_says_what_is_missing(
    config: ClickHouseConfig, pipeline: Pipeline, tmp_path: Path
) -> None:
    fill(config, pipeline, "bare", labels=False)
    shown = await part(site(config, tmp_path, pipeline), "bare")
    assert '<b class="">answer: there is none.</b> ' + STATES["none"][2] in shown
    assert "0 labelled tasks: 45 more are needed at least for &#34;at most 5 % wrong, with 90 % certainty&#34;" in shown
    assert "0.3 % of its 301 events in the last 30 days: 1 refused" in shown
    assert "How many are right is unknown" in shown
    assert "/query/confidences?" in shown


async def test_the_page_shows_refusals_escaped_and_appears_without_waiting_for_the_estimates(
    config: ClickHouseConfig, pipeline: Pipeline, tmp_path: Path
) -> None:
    fill(config, pipeline, "page", labels=False)
    async with visitor(site(config, tmp_path, pipeline)) as operator:
        answer = await operator.get("/quality?run=page")
    assert answer.status_code == 200
    assert "&lt;u&gt;no&lt;/u&gt;" in answer.text
    assert "<u>no" not in answer.text
    assert 'data-live="confidence"' in answer.text


async def test_without_a_pipeline_the_page_says_what_it_needs(config: ClickHouseConfig, tmp_path: Path) -> None:
    assert "No pipeline file is known here" in await part(site(config, tmp_path, None), "live")
