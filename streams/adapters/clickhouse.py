"""ClickHouse over HTTP: the connection, the migrations, and the rows our messages become."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.core.errors import ConfigError, ServiceError
from streams.core.messages import Call, DeadLetter, Event, Finding, Header, Judgement, Label, Origin, Outcome, Verdict
from streams.resources import resource

DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Each message's table. An analyst reads the view of the same name without _rows, which hides deliveries made twice.
TABLES: dict[type, str] = {
    Call: "calls_rows",
    Outcome: "outcomes_rows",
    Verdict: "verdicts_rows",
    DeadLetter: "dead_letters_rows",
    Label: "labels_rows",
    Judgement: "judgements_rows",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickHouseConfig:
    """Where ClickHouse is. `url` is http://host:port or https://host:port."""

    url: str
    username: str = "default"
    password: str = field(default="", repr=False)
    database: str = "escalon"
    ca_file: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{self.url!r} is no HTTP address.", "Write it as http://host:8123.", "ESCALON_CLICKHOUSE"
            )
        if parts.username or parts.password:
            remedy = "Set ESCALON_CLICKHOUSE_USER and ESCALON_CLICKHOUSE_PASSWORD instead."
            raise ConfigError("the address holds a login, which would end up in logs.", remedy, "ESCALON_CLICKHOUSE")
        if not DATABASE.fullmatch(self.database):
            remedy = "Use letters, digits and underscores."
            raise ConfigError(f"{self.database!r} is no name.", remedy, "ESCALON_CLICKHOUSE_DATABASE")

    def connect(self, *, database: str | None = None, readonly: bool = False) -> Any:
        """A clickhouse-connect client; raises ServiceError when ClickHouse cannot be reached."""
        parts = urlsplit(self.url)
        try:
            return clickhouse_connect.get_client(
                host=parts.hostname,
                port=parts.port or (8443 if parts.scheme == "https" else 8123),
                interface=parts.scheme,
                username=self.username,
                password=self.password,
                database=self.database if database is None else database,
                ca_cert=self.ca_file,
                autogenerate_session_id=False,
                settings={"readonly": 2} if readonly else {},
            )
        except (ClickHouseError, OSError) as error:
            remedy = "Check that it runs, ESCALON_CLICKHOUSE, user and password; `escalon migrate` makes the database."
            raise ServiceError(f"ClickHouse at {self.url} cannot be used ({str(error)[:300]}).", remedy) from error


def migrate(config: ClickHouseConfig, directory: Path | None = None) -> list[str]:
    """Apply the DDL files that this database has not had yet, in order; returns their names."""
    client = config.connect(database="")
    try:
        client.command(f"CREATE DATABASE IF NOT EXISTS {config.database}")
        client.database = config.database
        client.command(
            "CREATE TABLE IF NOT EXISTS migrations (name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))"
            " ENGINE = ReplacingMergeTree ORDER BY name"
        )
        done = {row[0] for row in client.query("SELECT name FROM migrations").result_rows}
        files = sorted((directory or resource("clickhouse")).glob("[0-9]*.sql"))
        for file in (file for file in files if file.name not in done):
            for statement in statements(file.read_text("utf-8")):
                client.command(statement)
            client.insert("migrations", [[file.name]], column_names=["name"])
        return [file.name for file in files if file.name not in done]
    except ClickHouseError as error:
        raise ServiceError(f"The migration failed ({str(error)[:500]}).", "Mend the cause and run it again.") from error
    finally:
        client.close()


def statements(sql: str) -> list[str]:
    """The statements of a DDL file: each ends with a semicolon at the end of a line."""
    code = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    return [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", code) if part.strip()]


def row_of(message: Any) -> dict[str, Any]:
    """A message as a row: the origin's fields stand beside its own, an event's content too."""
    row: dict[str, Any] = {}
    for name in (item.name for item in dataclasses.fields(message)):
        value = getattr(message, name)
        match value:
            case Origin():
                row |= _origin(value)
            case Event():
                row |= _origin(value.origin) | {
                    "kind": value.kind,
                    "text": value.text,
                    "data": value.data,
                    "image": value.image,
                }
            case _ if name == "sources":
                row[name] = {score.label: score.probability for score in value}
            case _:
                row[name] = _cell(value)
    return row


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "event_id": origin.event_id,
        "run": origin.run,
        "event_time": origin.event_time,
        "trace_id": origin.trace_id,
        "source_topic": origin.topic,
        "source_partition": origin.partition,
        "source_offset": origin.offset,
    }


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_cell(item) for item in value]
    if isinstance(value, Finding):
        scores = {score.label: score.probability for score in value.scores}
        return json.dumps(_without(value, "scores") | {"scores": scores}, ensure_ascii=False)
    if isinstance(value, Header):
        return f"{value.key}: {value.value.decode('utf-8', 'backslashreplace')}"
    return value


def _without(message: Any, left_out: str) -> dict[str, Any]:
    names = (item.name for item in dataclasses.fields(message))
    return {name: getattr(message, name) for name in names if name != left_out}


def insert(client: Any, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same keys; returns when ClickHouse has acknowledged them."""
    if rows:
        names = list(rows[0])
        client.insert(table, [[row[name] for name in names] for row in rows], column_names=names)
