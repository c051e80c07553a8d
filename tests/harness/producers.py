"""Kafka's other producers: each publishes the same records, by a program that is fetched where it is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.harness.fetched import UnavailableError, cache, environment, run

PROGRAMS: Final = Path(__file__).parents[1] / "ecosystem" / "programs"
TOOLS: Final = "org.apache.kafka:kafka-tools:{}"
CLOUD_EVENTS: Final = "cloudevents==2.2.0"


@dataclass(frozen=True, slots=True)
class Record:
    """One record; a key of None is a null key."""

    value: str
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    aborted: bool = False

    def line(self) -> str:
        return json.dumps(
            {"key": self.key, "value": self.value, "headers": dict(self.headers), "aborted": self.aborted}
        )


def kcat(servers: str, topic: str, compression: str, records: Sequence[Record]) -> None:
    """Publish by kcat, which gives all records of a run the same headers, and null keys where there is no key."""
    for record in records:
        command = ["kcat", "-P", "-b", servers, "-t", topic, "-z", compression]
        command += [part for name, value in record.headers.items() for part in ("-H", f"{name}={value}")]
        command += ["-k", record.key] if record.key is not None else []
        _fed(command, record.value)


def console(servers: str, topic: str, compression: str, records: Sequence[Record], kafka_home: Path) -> None:
    """Publish by Kafka's own console producer."""
    version = kafka_home.name.removeprefix("kafka-")
    kept = cache() / "kafka-tools"
    if not (kept / f"kafka-tools-{version}.jar").exists():
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
        run(["mvn", "-q", copy, f"-Dartifact={TOOLS.format(version)}", f"-DoutputDirectory={kept}"])
    command = ["java", "-cp", f"{kafka_home}/libs/*:{kept}/*", "org.apache.kafka.tools.ConsoleProducer"]
    command += ["--bootstrap-server", servers, "--topic", topic, "--compression-codec", compression]
    for name, value in {"parse.key": "true", "parse.headers": "true", "null.marker": "NULL"}.items():
        command += ["--reader-property", f"{name}={value}"]
    lines = [
        "\t".join(
            (",".join(f"{name}:{said}" for name, said in one.headers.items()) or "NULL", one.key or "NULL", one.value)
        )
        for one in records
    ]
    _fed(command, "\n".join(lines) + "\n")


def kafkajs(servers: str, topic: str, compression: str, records: Sequence[Record]) -> None:
    """Publish by kafkajs."""
    kept = cache() / "kafkajs"
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "kafkajs.js"):
        shutil.copy(PROGRAMS / name, kept)
    if not (kept / "node_modules" / "kafkajs").exists():
        run(["npm", "install", "--silent", "--no-audit", "--no-fund"], kept)
    _fed(["node", str(kept / "kafkajs.js"), servers, topic, compression], _lines(records))


def franz_go(servers: str, topic: str, compression: str, records: Sequence[Record], batch: int = 0) -> None:
    """Publish by franz-go, with `batch` in transactions of so many records."""
    program = cache() / "franz-go"
    run(["go", "mod", "download"], PROGRAMS / "franz")
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=PROGRAMS / "franz", check=True)
    _fed([str(program), servers, topic, compression, str(batch)], _lines(records))


def cloud_events(mode: str, count: int, source: str) -> list[Record]:
    """Return CloudEvents that the project's own SDK made."""
    home = environment("cloudevents", [CLOUD_EVENTS])
    command = [f"{home}/bin/python", str(PROGRAMS / "cloud_events.py"), mode, str(count), source]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    made: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    return [Record(**one) for one in made]


def _lines(records: Sequence[Record]) -> str:
    return "".join(f"{one.line()}\n" for one in records)


def _fed(command: Sequence[str], text: str) -> None:
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"there is no {command[0]}")
    subprocess.run(
        command, input=text, text=True, check=True, env={**os.environ, "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
    )
