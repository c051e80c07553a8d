"""A running pipeline with secrets in all its settings, and its commands."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.embedded.supervisor import module_command
from tests.harness.fakes.schema_registry import SchemaRegistryServer
from tests.harness.journey import Journey
from tests.harness.secure.echo import Echo

USER = "escalon"


def planted(what: str) -> str:
    """A secret that stands nowhere else."""
    return f"planted-{what}-{secrets.token_hex(8)}"


@dataclass(frozen=True)
class Secure:
    """A running pipeline, where its parts are, and every secret that must show nowhere."""

    journey: Journey
    directory: Path
    web_port: int
    collector: Echo
    registry: SchemaRegistryServer
    secrets: dict[str, str]
    extra: dict[str, str] = field(default_factory=dict)
    """What only the variant with TLS has: its own files."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the pipeline's processes are started with."""
        return self.journey.running.environment


@dataclass(frozen=True)
class CommandEnd:
    """How a command ended and all it said."""

    code: int
    said: str


def escalon(secure: Secure, *arguments: str, **settings: str) -> CommandEnd:
    """A command as a user would type it, with some settings otherwise; an empty one is not set."""
    done = subprocess.run(
        [*module_command("streams"), *arguments],
        env={**secure.environment, **settings},
        cwd=secure.directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return CommandEnd(done.returncode, done.stdout + done.stderr)
