"""Claude at the three clouds, under contract: each a fake of its cloud's wire, and a login by its cloud's own chain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from streams.models.providers.claude_clouds import Cloud, CloudClaude, CloudPlace
from streams.models.providers.protocol import ModelRequest
from tests.harness.fakes.claude_clouds import AWS, BedrockServer, FoundryServer, VertexServer, google_login

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
KEY = "planted-cloud-key-0123456789"
OWN: Mapping[Cloud, Mapping[str, Any]] = {
    "bedrock": {"region": "eu-central-1"},
    "vertex": {"region": "global", "project": "acme"},
    "foundry": {},
}
"""The place at each cloud."""


def cloud(name: Cloud, url: str | None, key: str | None = None) -> CloudClaude:
    """The model of a cloud at a local address."""
    ticks = count()
    place = CloudPlace(cloud=name, base_url=url, **OWN[name])
    return CloudClaude(place, key, clock=lambda: float(next(ticks)), now=lambda: NOW)


def without_logins(patch: pytest.MonkeyPatch, directory: Path) -> None:
    """Hide the logins to clouds that this machine may have."""
    for name in ("AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_DEFAULT_REGION", *AWS):
        patch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG"):
        patch.setenv(name, str(directory / "none"))
    patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("NO_GCE_CHECK", "true")


@asynccontextmanager
async def at_bedrock(directory: Path) -> AsyncIterator[tuple[CloudClaude, BedrockServer]]:
    """Claude at Bedrock, with keys of AWS in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        without_logins(patch, directory)
        for name, value in AWS.items():
            patch.setenv(name, value)
        async with BedrockServer() as server:
            model = cloud("bedrock", server.url)
            yield model, server
            await model.close()


@asynccontextmanager
async def at_vertex(directory: Path) -> AsyncIterator[tuple[CloudClaude, VertexServer]]:
    """Claude at Vertex, with the key file of a service account."""
    with pytest.MonkeyPatch.context() as patch:
        without_logins(patch, directory)
        async with VertexServer() as server:
            login = google_login(directory, f"{server.url}/token")
            patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(login))
            model = cloud("vertex", server.url)
            await model.ask(ModelRequest("m", "", "The first call gets the token.", 9), 60)
            server.begin_again()
            yield model, server
            await model.close()


@asynccontextmanager
async def at_foundry(directory: Path) -> AsyncIterator[tuple[CloudClaude, FoundryServer]]:
    """Claude at Foundry, with a key."""
    with pytest.MonkeyPatch.context() as patch:
        without_logins(patch, directory)
        async with FoundryServer() as server:
            model = cloud("foundry", f"{server.url}/anthropic", KEY)
            yield model, server
            await model.close()


AT: Mapping[Cloud, Callable[[Path], Any]] = {"bedrock": at_bedrock, "vertex": at_vertex, "foundry": at_foundry}
