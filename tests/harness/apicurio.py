"""Apicurio Registry, a real schema registry with Confluent's API, fetched from Maven Central once and run by Java."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streams.embedded.broker import free_ports
from streams.embedded.supervisor import Child, Supervisor

VERSION: Final = "3.0.9"
"""The newest that runs on Java 17."""
ARTIFACT: Final = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
GET: Final = "org.apache.maven.plugins:maven-dependency-plugin:2.8:get"
"""The last that fetches one file to a place, without its parent's POM."""
READY_SECONDS: Final = 120.0


class NoRegistryError(Exception):
    """The registry cannot be had here."""


def installed(cache: Path) -> Path:
    """Return the directory of the registry, fetched into `cache` if need be. Raises NoRegistryError."""
    home = cache / f"apicurio-{VERSION}"
    if home.is_dir():
        return home
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise NoRegistryError(f"there is no {program}")
    packed = cache / f"apicurio-registry-app-{VERSION}-all.tar.gz"
    command = ["mvn", "--batch-mode", GET, f"-Dartifact={ARTIFACT}", "-Dtransitive=false", f"-Ddest={packed}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cache)
    if done.returncode != 0:
        raise NoRegistryError(f"Maven could not fetch {ARTIFACT}: {done.stdout[-500:]}")
    draft = cache / f".apicurio-{VERSION}"
    with tarfile.open(packed) as archive:
        archive.extractall(draft, filter="data")
    packed.unlink()
    return draft.rename(home)


@dataclass
class Apicurio:
    """One registry, which keeps its schemas in `data` while it is stopped."""

    home: Path
    data: Path
    supervisor: Supervisor
    port: int = field(default_factory=lambda: free_ports(1)[0])
    child: Child | None = None

    @property
    def url(self) -> str:
        """The address of its API that is compatible with Confluent's."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def start(self) -> None:
        """Start its process; `wait_ready` says when it answers."""
        heap = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        listen = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self.port}"]
        command = ["java", *heap, *listen, "-jar", str(self.home / f"apicurio-registry-app-{VERSION}-runner.jar")]
        storage = {
            **os.environ,
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "h2",
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{self.data / 'registry'}",
        }
        self.child = self.supervisor.spawn("apicurio", command, storage)

    def wait_ready(self) -> None:
        """Wait until it answers."""
        assert self.child is not None
        self.supervisor.wait_ready(self.child, self._answers, READY_SECONDS)

    def stop(self) -> None:
        """Stop its process."""
        assert self.child is not None
        self.supervisor.stop(self.child)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=2) as answer:  # noqa: S310  the scheme is above
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
