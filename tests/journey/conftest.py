"""A whole pipeline on a real broker and a real ClickHouse engine, with Claude's place taken by the fake API."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from streams.app.settings import read_settings
from streams.embedded.local_pipeline import running_pipeline
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline
from tests.harness.journey import PIPELINE, FakeClaude, Journey


@pytest.fixture(scope="module", params=["tansu", "kafka"])
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The pipeline of tests/journey/pipeline, running on each of the two brokers."""
    home = request.getfixturevalue("kafka_home") if request.param == "kafka" else None
    data = tmp_path_factory.mktemp(request.param)
    with FakeClaude() as claude, pytest.MonkeyPatch.context() as patched:
        patched.setenv("ANTHROPIC_API_KEY", "planted-key-that-must-not-show")
        patched.setenv("ANTHROPIC_BASE_URL", claude.server.url)
        patched.setenv("ESCALON_DATA", str(data))
        patched.setenv("ESCALON_CACHE", str(data / "cache"))
        patched.setenv("KAFKA_HOME", str(home or ""))
        for name in ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY"):
            patched.delenv(name, raising=False)
        with running_pipeline(
            read_settings(os.environ), load_pipeline(PIPELINE / "pipeline.toml", ANY_PYTHON)
        ) as running:
            yield Journey(running, claude)
