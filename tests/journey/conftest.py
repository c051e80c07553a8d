"""A whole pipeline on a real broker and a real ClickHouse engine, with Claude's place taken by the fake API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.journey import PIPELINE, Journey, running_journey


@pytest.fixture(scope="module", params=["tansu", "kafka"])
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The pipeline of tests/journey/pipeline, running on each of the two brokers."""
    home = request.getfixturevalue("kafka_home") if request.param == "kafka" else None
    data = tmp_path_factory.mktemp(request.param)
    planted = {"ANTHROPIC_API_KEY": "planted-key-that-must-not-show"}
    with running_journey(PIPELINE / "pipeline.toml", data, home, environment=planted) as running:
        yield running
