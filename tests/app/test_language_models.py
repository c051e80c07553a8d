"""Handlers of one process share what guards a model; the fallback's request is checked as the own one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.app.language_models import LanguageModels
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.calling.chain import LimitedBackend
from streams.core.errors import ConfigError
from streams.pipeline.handlers import Handler
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


def providers(directory: Path, text: str = TEXT) -> tuple[Providers, dict[str, Handler]]:
    pipeline = loaded(directory, text, {"none.jsonl": ""})
    handlers = {**pipeline.workers, **pipeline.reasoners, "label": pipeline.listeners["label"]}
    return Providers(pipeline, read_settings({"ESCALON_DATA": str(directory)})), handlers


def backends(directory: Path) -> dict[str, LimitedBackend]:
    """By handler, the fallbacks' as `NAME.fallback`."""
    made, handlers = providers(directory)
    spare = {f"{name}.fallback": one.fallback for name, one in handlers.items() if one.fallback is not None}
    return {name: made.backend(one) for name, one in (handlers | spare).items()}


def test_all_handlers_of_a_model_share_its_limits_and_another_model_has_its_own(tmp_path: Path) -> None:
    made = backends(tmp_path)
    limits = {name: one.limits for name, one in made.items()}
    (own, shared), (others_own, others_shared) = made["work"].slots, made["think"].slots
    assert own is not others_own
    assert shared is others_shared
    assert limits["work"] is limits["think"] is limits["label"] is not None
    assert limits["code"] is None
    assert limits["work.fallback"] is limits["think.fallback"] is not None
    assert limits["work.fallback"] is not limits["work"]


def test_the_fallback_asks_its_own_model_at_its_own_price(tmp_path: Path) -> None:
    made, handlers = providers(tmp_path)
    own, spare = made.callees({"work": handlers["work"]})
    assert (own.model, spare.model, spare.priced_as) == ("small", "other", "other")
    assert spare.handler.version != own.handler.version
    assert spare.handler.fallback is None


def test_the_files_limits_are_the_models(tmp_path: Path) -> None:
    limits = backends(tmp_path)["work"].limits
    assert limits is not None
    assert limits.model_key == "m"
    limit = limits.limit
    assert limit.requests is not None
    assert limit.input_tokens is not None
    rates = limit.requests.per_minute, limit.input_tokens.per_minute, limit.output_tokens
    assert (*rates, limits.retries.share) == (60, 1200, None, 0.1)


def test_a_request_that_the_fallback_would_refuse_is_reported_under_its_key(tmp_path: Path) -> None:
    claude = 'provider = "claude"\nmodel = "other"'
    text = TEXT.replace('provider = "recorded"\nmodel = "other"\ncassette = "none.jsonl"', claude)
    pipeline = loaded(tmp_path, text)
    with pytest.raises(ConfigError, match="seed") as error:
        Providers(pipeline, read_settings({"ESCALON_DATA": str(tmp_path)})).check([pipeline.workers["work"]])
    assert error.value.key == "workers.work.fallback"


def test_the_claude_models_of_one_address_share_a_client(tmp_path: Path) -> None:
    claude = '[models.{}]\nprovider = "claude"\nmodel = "claude-haiku-5-5"\n{}\n'
    elsewhere = 'base_url = "http://127.0.0.1:9"'
    more = claude.format("a", "") + claude.format("b", "") + claude.format("c", elsewhere)
    pipeline = loaded(tmp_path, TEXT.replace("[models.spare]", f"{more}[models.spare]"), {"none.jsonl": ""})
    environment = {"ESCALON_DATA": str(tmp_path), "ANTHROPIC_API_KEY": "sk-ant-key"}
    models = LanguageModels(pipeline, read_settings(environment))
    first, second, other = (models.shared(key) for key in "abc")
    assert first.model is second.model
    assert first.slots is not second.slots
    assert other.model is not first.model
