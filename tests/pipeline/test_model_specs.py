"""The tables of models behind OpenAI's API: keys, headers, dialects, and room for reasoning."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.app.language_models import LanguageModels, lacking
from streams.app.log_redaction import environment_hider
from streams.app.settings import read_settings
from streams.core.errors import ConfigError
from streams.core.thinking import ROOM
from streams.pipeline.dialects import CAPABILITIES, DIALECTS
from streams.pipeline.model_specs import OpenAIModelSpec
from tests.harness.over_http import ALONE, for_openai
from tests.harness.stages import build

SECRET = "sk-planted-0123456789"


def spec(**fields: object) -> OpenAIModelSpec:
    return OpenAIModelSpec.model_validate({"provider": "openai", "model": "m", **fields})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_is_a_preset_that_the_file_overrides(dialect: str) -> None:
    preset = CAPABILITIES[dialect]  # type: ignore[index]
    plain = spec(dialect=dialect, base_url="http://127.0.0.1:9/v1")
    assert plain.capabilities == preset
    assert not plain.capabilities.images, "no server shows its model images unless the file says so"
    for name in ("json_schema", "stream", "stream_options", "logprobs", "seed", "images"):
        other = not getattr(preset, name)
        assert getattr(plain.model_copy(update={name: other}).capabilities, name) is other


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"dialect": "vllm"}, "needs base_url"),
        ({"dialect": "another", "base_url": "http://h/v1"}, "dialect"),
        ({"base_url": "https://user:password@h/v1"}, "must not hold secrets"),
        ({"api_key_env": SECRET}, "environment variable"),
        ({"api_key_env": "MY_MODEL"}, "_KEY, _TOKEN or _SECRET"),
        ({"headers": {"Authorization": "Bearer x"}}, "looks like a secret"),
        ({"headers": {"x-api-key": "x"}}, "looks like a secret"),
        ({"headers": {"x-team": "a\nb"}}, "printable"),
        ({"headers": {"x team": "a"}}, "printable"),
    ],
)
def test_a_table_with_a_secret_or_without_an_address_is_refused(fields: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        spec(**fields)


def one_model(*options: str, url: str = "https://models.example.com/v1") -> str:
    return for_openai(ALONE, *options).replace("$URL", url)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OWN_KEY"])
def test_a_key_is_named_and_read_from_its_variable_or_its_file(tmp_path: Path, name: str) -> None:
    options = () if name == "OPENAI_API_KEY" else (f'api_key_env = "{name}"',)
    pipeline = build(tmp_path, one_model(*options))
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    for environment in ({name: SECRET}, {f"{name}_FILE": str(tmp_path / "secret")}):
        settings = read_settings({"ESCALON_DATA": str(tmp_path), **environment})
        assert lacking(pipeline, settings) == []
        assert LanguageModels(pipeline, settings).shared("small").model
        assert SECRET not in repr(settings)
        assert environment_hider(environment)(f"key {SECRET}") == "key [hidden]", "logs hide it"
    (missing, other) = lacking(pipeline, read_settings({"ESCALON_DATA": str(tmp_path)}))
    assert (missing.key, other.key) == (name, name)


def test_claude_may_have_a_key_of_its_own(tmp_path: Path) -> None:
    text = ALONE.replace('model = "claude-haiku-4-5"', 'model = "claude-haiku-4-5"\napi_key_env = "OWN_KEY"')
    pipeline = build(tmp_path, text)
    environment = {"ESCALON_DATA": str(tmp_path), "ANTHROPIC_API_KEY": SECRET}
    (missing,) = lacking(pipeline, read_settings(environment))
    assert missing.key == "OWN_KEY"
    models = LanguageModels(pipeline, read_settings({**environment, "OWN_KEY": "another-key"}))
    assert models.shared("small").model is not models.shared("large").model


def test_a_server_on_this_machine_needs_no_key_and_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = build(tmp_path, one_model(url="http://127.0.0.1:9/v1"))
    settings = read_settings({"ESCALON_DATA": str(tmp_path)})
    assert lacking(pipeline, settings) == []
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (missing,) = lacking(pipeline, settings)
    assert "escalon[openai]" in missing.remedy
    with pytest.raises(ConfigError, match="openai is not installed"):
        LanguageModels(pipeline, settings).shared("small")


@pytest.mark.parametrize(
    ("model", "parameters", "room"),
    [
        ("gpt-4.1-mini", "", 0),
        ("gpt-5.6", "", ROOM),
        ("o3-mini", "", ROOM),
        ("openai/gpt-oss-20b", "", ROOM),
        ("gpt-5.6", "reasoning_effort = 'none'", 0),
        ("qwen3", "reasoning_effort = 'low'", ROOM),
        ("solo3", "", 0),
    ],
)
def test_a_model_that_reasons_has_room_for_it_in_the_default(
    tmp_path: Path, model: str, parameters: str, room: int
) -> None:
    text = one_model().replace("claude-haiku-4-5", model)
    text = text.replace('task = "answer"', f'task = "answer"\nparameters = {{ {parameters} }}')
    assert build(tmp_path, text).workers["answer"].prompts.max_tokens == 512 + room
