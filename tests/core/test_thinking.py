"""Thinking's part of max_tokens, and the settings that a model takes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from streams.core.errors import ConfigError
from streams.core.thinking import (
    MOST_MAX_TOKENS,
    ROOM,
    ThinkingModels,
    check_thinking,
    default_max_tokens,
    thinks,
    warn_of_few_tokens,
)

SHIPPED = Path(__file__).parents[2] / "streams" / "pipeline" / "thinking-2026-11.toml"
PRICES = SHIPPED.with_name("prices-2026-11.toml")
MODELS = ThinkingModels.parse(tomllib.loads(SHIPPED.read_text("utf-8")))
OFF = {"thinking": {"type": "disabled"}}
ADAPTIVE = {"thinking": {"type": "adaptive"}}


def budget(tokens: Any) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def test_every_model_with_a_price_is_known() -> None:
    assert set(MODELS.models) == set(tomllib.loads(PRICES.read_text("utf-8"))["models"])


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("claude-haiku-4-5", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
        ("anthropic/claude-sonnet-4.6", "claude-sonnet-4-6"),
        ("claude-opus-5", "claude-opus-5"),
        ("claude-opus-5-20260701", "claude-opus-5"),
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-opus-5-6", None),
        ("claude-opus-55", None),
        ("my-deployment", None),
    ],
)
def test_a_model_is_known_by_any_providers_name_of_it(name: str, known: str | None) -> None:
    found = MODELS.find(name)
    assert (found.name if found else None) == known


@pytest.mark.parametrize(
    ("model", "parameters", "expected"),
    [
        ("claude-haiku-5-5", {}, True),
        ("claude-haiku-5-5", OFF, False),
        ("claude-sonnet-5-5", {"thinking": {"type": "between_tools"}}, False),
        ("claude-opus-4-8", {}, False),
        ("claude-opus-4-8", ADAPTIVE, True),
        ("claude-haiku-4-5", budget(2048), True),
        ("my-deployment", {}, False),
        ("my-deployment", ADAPTIVE, True),
    ],
)
def test_thinking_follows_the_model_unless_a_parameter_is_set(
    model: str, parameters: dict[str, Any], expected: bool
) -> None:
    assert thinks(MODELS.find(model), parameters) is expected


@pytest.mark.parametrize(
    ("model", "parameters", "expected"),
    [
        ("claude-haiku-5-5", {}, 512 + ROOM),
        ("claude-haiku-5-5", OFF, 512),
        ("claude-haiku-4-5", {}, 512),
        ("claude-haiku-4-5", budget(2048), 512 + 2048),
        ("claude-haiku-4-5", budget(127_999), MOST_MAX_TOKENS),
        ("my-deployment", {}, 512),
    ],
)
def test_the_default_has_room_for_thinking(model: str, parameters: dict[str, Any], expected: int) -> None:
    assert default_max_tokens(512, MODELS.find(model), parameters) == expected


@pytest.mark.parametrize(
    ("model", "parameters", "max_tokens", "key", "said"),
    [
        ("claude-opus-5-5", OFF, 9000, "parameters.thinking", "does not take thinking.type = 'disabled'"),
        ("claude-sonnet-5-5", OFF, 9000, "parameters.thinking", "use 'adaptive' or 'between_tools'"),
        ("claude-haiku-5-5", budget(2048), 9000, "parameters.thinking", "'enabled'"),
        ("claude-haiku-4-5", ADAPTIVE, 9000, "parameters.thinking", "'adaptive'"),
        ("my-deployment", {"thinking": {"type": "often"}}, 9000, "parameters.thinking", "'often'"),
        ("my-deployment", {"thinking": True}, 9000, "parameters.thinking", "None"),
        ("claude-haiku-4-5", budget(100), 9000, "parameters.thinking.budget_tokens", "at least 1024"),
        ("claude-haiku-4-5", budget("many"), 9000, "parameters.thinking.budget_tokens", "'many'"),
        ("claude-haiku-4-5", budget(2048), 2048, "max_tokens", "leaves nothing for the answer"),
        ("claude-haiku-5-5", {**OFF, "effort": "max"}, 9000, "parameters.effort", "switched off"),
    ],
)
def test_what_the_provider_would_refuse_is_refused(
    model: str, parameters: dict[str, Any], max_tokens: int, key: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_thinking(MODELS.find(model), parameters, max_tokens)
    assert caught.value.key == key
    assert said in f"{caught.value}"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("claude-opus-5-5", {"effort": "max"}),
        ("claude-haiku-5-5", {**OFF, "effort": "high"}),
        ("claude-opus-4-8", {**OFF, "effort": "max"}),
        ("my-deployment", budget(2048)),
        ("claude-haiku-4-5", budget(2048)),
    ],
)
def test_what_the_provider_takes_is_good(model: str, parameters: dict[str, Any]) -> None:
    check_thinking(MODELS.find(model), parameters, 9000)


@pytest.mark.parametrize(
    ("model", "parameters", "max_tokens", "remedy"),
    [
        ("claude-haiku-5-5", {}, 300, 'thinking = { type = "disabled" }'),
        ("claude-sonnet-5-5", {}, 300, 'thinking = { type = "between_tools" }'),
        ("claude-opus-5-5", {}, 300, 'effort = "low"'),
        ("my-deployment", ADAPTIVE, 300, 'thinking = { type = "disabled" }'),
        ("claude-haiku-5-5", {}, 4096, None),
        ("claude-haiku-5-5", OFF, 300, None),
        ("claude-haiku-4-5", {}, 300, None),
        ("claude-haiku-4-5", budget(2048), 3000, None),
        ("my-deployment", {}, 300, None),
    ],
)
def test_little_room_is_warned_of_with_what_the_model_takes(
    model: str, parameters: dict[str, Any], max_tokens: int, remedy: str | None
) -> None:
    said = warn_of_few_tokens(MODELS.find(model), parameters, max_tokens)
    assert (said is None) == (remedy is None)
    if said is not None and remedy is not None:
        assert remedy in said
        assert "max_tokens = 300" in said
