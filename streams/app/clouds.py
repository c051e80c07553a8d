"""Claude at a cloud, built of a model's table and the settings; the cloud's own libraries find the rest."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Final

from streams.app.settings import Settings
from streams.core.errors import ConfigError
from streams.models.providers.protocol import LanguageModel
from streams.pipeline.model_specs import ClaudeModelSpec

KEYS: Final[Mapping[str, str]] = {"bedrock": "AWS_BEARER_TOKEN_BEDROCK", "foundry": "ANTHROPIC_FOUNDRY_API_KEY"}
"""The variable with a cloud's own API key. Bedrock does without one: then AWS's credentials count."""
_PACKAGES: Final[Mapping[str, str]] = {"bedrock": "boto3", "vertex": "google.auth"}


def check_cloud(spec: ClaudeModelSpec, settings: Settings) -> str | None:
    """Return the cloud's API key, if it has one. Raises ConfigError for a key or a package that is missing.

    Whether the cloud's own credentials are there, only a call shows.
    """
    at, given = spec.at or "", spec.api_key_env
    package = _PACKAGES.get(at)
    if package is not None and importlib.util.find_spec(package.partition(".")[0]) is None:
        raise ConfigError(f"the package {package} is not installed.", f"Install escalon[{at}].", "models")
    name = given or KEYS.get(at)
    key = settings.secret(name) if name else None
    if key is None and (given is not None or at == "foundry"):
        raise ConfigError(f"no key is set for Claude at {at}.", "Set it, or choose another model.", name or "")
    return key


def cloud_claude(spec: ClaudeModelSpec, settings: Settings) -> LanguageModel:
    """Return the client of a model with `at`. Raises ConfigError."""
    key = check_cloud(spec, settings)
    from streams.models.providers.claude_clouds import CloudClaude, CloudPlace

    assert spec.at is not None  # noqa: S101 - the caller's choice
    place = CloudPlace(
        cloud=spec.at, region=spec.region, project=spec.project, resource=spec.resource, base_url=spec.base_url
    )
    return CloudClaude(place, key)
