"""Handlers of one process share what guards a model; the fallback's request is checked as the own one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.core.errors import ConfigError
from streams.stages.ports import Asker
from tests.harness.pipeline_files import BASE, loaded

LIMITS = "requests_per_minute = 60\ninput_tokens_per_minute = 1200\nretry_budget = 0.1\n"
SPARE = '[models.spare]\nprovider = "recorded"\nmodel = "other"\ncassette = "none.jsonl"\n\n[listeners.rules]\n'
TEXT = (
    BASE.replace("[models.m]\n", f"[models.m]\n{LIMITS}")
    .replace("[listeners.rules]\n", SPARE, 1)
    .replace("[workers.work]\n", '[workers.work]\nfallback = "spare"\n')
    .replace('handler = "desk:do"', 'handler = "json:loads"')
    .replace('task = "resolve"', 'task = "resolve"\nfallback = "spare"')
)


def askers(directory: Path, text: str = TEXT) -> dict[str, Asker]:
    pipeline = loaded(directory, text, {"none.jsonl": ""})
    handlers: dict[str, Any] = {**pipeline.workers, **pipeline.reasoners, "label": pipeline.listeners["label"]}
    return Providers(pipeline, read_settings({"ESCALON_DATA": str(directory)})).askers(handlers)


def test_all_handlers_of_a_model_share_its_lane_and_another_model_has_another(tmp_path: Path) -> None:
    found = askers(tmp_path)
    work, think, label, code = (found[name] for name in ("work", "think", "label", "code"))
    assert work.lane is think.lane is label.lane is not None
    assert code.lane is None
    assert work.fallback is not None
    assert think.fallback is not None
    assert work.fallback.lane is think.fallback.lane is not work.lane


def test_the_fallback_asks_its_own_model_at_its_own_price(tmp_path: Path) -> None:
    work = askers(tmp_path)["work"]
    assert work.fallback is not None
    assert (work.model, work.fallback.model, work.fallback.priced_as) == ("small", "other", "other")
    assert work.fallback.handler.version != work.handler.version
    assert work.fallback.fallback is None


def test_the_files_limits_are_the_lanes(tmp_path: Path) -> None:
    found = askers(tmp_path)
    lane = found["work"].lane
    assert lane is not None
    assert lane.model_key == "m"
    limit = lane.limit
    assert limit.requests is not None
    assert limit.input_tokens is not None
    rates = limit.requests.per_minute, limit.input_tokens.per_minute, limit.output_tokens
    assert (*rates, lane.retries.share) == (60, 1200, None, 0.1)


def test_a_request_that_the_fallback_would_not_take_is_told_under_its_key(tmp_path: Path) -> None:
    claude = 'provider = "claude"\nmodel = "other"'
    text = TEXT.replace('provider = "recorded"\nmodel = "other"\ncassette = "none.jsonl"', claude)
    pipeline = loaded(tmp_path, text)
    with pytest.raises(ConfigError, match="seed") as error:
        Providers(pipeline, read_settings({"ESCALON_DATA": str(tmp_path)})).check([pipeline.workers["work"]])
    assert error.value.key == "workers.work.fallback"
