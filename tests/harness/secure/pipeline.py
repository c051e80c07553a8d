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
    """Make up a secret that occurs nowhere else."""
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
    """The files that only the variant with TLS has."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of the pipeline's processes."""
        return self.journey.running.environment


@dataclass(frozen=True)
class CommandEnd:
    """A command's exit code, and its stdout and stderr."""

    code: int
    said: str


def escalon(secure: Secure, *arguments: str, **settings: str) -> CommandEnd:
    """Run a command as a user would, with some settings changed; an empty one counts as unset."""
    done = subprocess.run(
        [*module_command("streams"), *arguments],
        env={**secure.environment, **settings},
        cwd=secure.directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return CommandEnd(done.returncode, done.stdout + done.stderr)
