"""Models with `at`: their tables, what they lack, and the names under which their calls are audited."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.app.language_models import LanguageModels, lacking
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.core.errors import ConfigError
from streams.models.providers.claude_clouds import CloudClaude
from tests.harness.over_http import DESK
from tests.harness.stages import build
from tests.models.contract.clouds import without_logins

BEDROCK = 'at = "bedrock"\nregion = "us-east-1"'
VERTEX = 'at = "vertex"\nregion = "global"\nproject = "acme"'
FOUNDRY = 'at = "foundry"\nresource = "acme"'


def desk(*tables: str) -> str:
    """The support desk, its models with these lines."""
    text = DESK
    for name, lines in zip(("claude-haiku-4-5", "claude-opus-4-8"), tables, strict=False):
        text = text.replace(f'model = "{name}"', f'model = "{name}"\n{lines}')
    return text


@pytest.mark.parametrize(
    ("lines", "provider"), [(BEDROCK, "aws.bedrock"), (VERTEX, "gcp.vertex_ai"), (FOUNDRY, "azure.ai.inference")]
)
async def test_a_model_at_a_cloud_is_audited_under_the_clouds_name_and_priced_as_its_own(
    lines: str, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_logins(monkeypatch, tmp_path)
    pipeline = build(tmp_path, desk(lines, lines))
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ANTHROPIC_FOUNDRY_API_KEY": "planted"})
    assert lacking(pipeline, settings) == []
    providers = Providers(pipeline, settings)
    (worker,), (reasoner,) = (providers.callees(one) for one in (pipeline.workers, pipeline.reasoners))
    assert {worker.provider, reasoner.provider} == {provider}
    assert worker.bills_cache
    assert isinstance(providers.models.shared("small").model, CloudClaude)
    assert providers.models.shared("small").model is providers.models.shared("large").model
    await providers.close()


async def test_two_places_have_a_client_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_logins(monkeypatch, tmp_path)
    pipeline = build(tmp_path, desk(BEDROCK, BEDROCK.replace("us-east-1", "eu-west-1")))
    models = LanguageModels(pipeline, read_settings({"ESCALON_DATA": str(tmp_path)}))
    addresses = {key: models.shared(key).model for key in ("small", "large")}
    shown = {key: one.address for key, one in addresses.items() if isinstance(one, CloudClaude)}
    assert shown == {
        "small": "https://bedrock-runtime.us-east-1.amazonaws.com",
        "large": "https://bedrock-runtime.eu-west-1.amazonaws.com",
    }
    await models.close()


def test_a_key_that_foundry_needs_is_missed_before_anything_starts(tmp_path: Path) -> None:
    pipeline = build(tmp_path, desk(FOUNDRY, f'{BEDROCK}\napi_key_env = "TEAM_BEDROCK_KEY"'))
    missed = lacking(pipeline, read_settings({"ESCALON_DATA": str(tmp_path)}))
    assert [one.key for one in missed] == ["ANTHROPIC_FOUNDRY_API_KEY", "TEAM_BEDROCK_KEY"]


@pytest.mark.parametrize(
    ("at", "package", "extra"), [(BEDROCK, "boto3", "bedrock"), (VERTEX, "google", "vertex")], ids=["bedrock", "vertex"]
)
def test_a_package_that_a_cloud_needs_is_named_with_its_extra(
    at: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else object())
    (missed,) = lacking(build(tmp_path, desk(at)), read_settings({"ANTHROPIC_API_KEY": "planted"}))
    assert f"escalon[{extra}]" in missed.remedy


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('at = "azure"', "'azure' is not one of the values"),
        ('region = "us-east-1"', "region goes with at = 'bedrock' or 'vertex'"),
        ('at = "bedrock"\nproject = "acme"', "project goes with at = 'vertex'"),
        ('at = "vertex"\nresource = "acme"', "resource goes with at = 'foundry'"),
        ('at = "foundry"\nresource = "a.example/x"', "is not written as it must be"),
        ('at = "foundry"\nresource = "acme"\nbase_url = "https://acme.example"', "either resource or base_url"),
        ('at = "vertex"\napi_key_env = "GOOGLE_API_KEY"', "Vertex takes no API key"),
    ],
)
def test_a_key_of_another_cloud_is_a_mistake(lines: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        build(tmp_path, desk(lines))
