"""Migrations bring databases of any version up to date, also when interrupted or concurrent."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.clickhouse_layout import TableLayout
from streams.adapters.clickhouse_migrations import migrate, migrations, script, statements
from streams.adapters.clickhouse_retention import Retention
from streams.core.errors import ConfigError, ServiceError
from streams.packaged_files import resource
from tests.builders import call, event, label, outcome, verdict
from tests.harness.audit import write

FILES = migrations(TableLayout("escalon"))
NAMES = [one.name for one in FILES]
VIEWS = ("calls", "outcomes", "verdicts", "dead_letters", "labels", "judgements", "runs", "calls_hourly")


def ask(config: ClickHouseConfig, sql: str) -> list[Any]:
    """The rows of an answer."""
    with closing(config.connect()) as client:
        return list(client.query(sql).result_rows)


def schema(config: ClickHouseConfig) -> list[Any]:
    """Every table and view as ClickHouse would make it; of two databases that are alike it is the same."""
    with closing(config.connect()) as client:
        asked = (
            "SELECT name, replaceAll(create_table_query, currentDatabase(), 'it') FROM system.tables"
            " WHERE database = currentDatabase() AND name NOT LIKE '.inner%' ORDER BY name"
        )
        return [(name, text.partition("TO INNER UUID")[0]) for name, text in client.query(asked).result_rows]


def files(directory: Path, *names: str) -> Path:
    """A directory with some of the DDL files."""
    directory.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(resource("clickhouse") / name, directory / name)
    return directory


@pytest.fixture
def fresh(config: ClickHouseConfig) -> ClickHouseConfig:
    """A database that was made in one go."""
    other = replace(config, database=f"{config.database}_fresh")
    migrate(other)
    return other


def test_a_new_database_gets_every_file_once_and_then_nothing(config: ClickHouseConfig) -> None:
    assert migrate(config) == NAMES
    assert migrate(config) == []
    for view in VIEWS:
        assert ask(config, f"SELECT count() FROM {view}") == [(0,)]


LATER = "90_later.sql"
ADDED = """
-- A column of a later version.
ALTER TABLE calls_$rows $on_cluster ADD COLUMN IF NOT EXISTS later Nullable(String) AFTER redaction;

CREATE OR REPLACE VIEW calls $on_cluster AS SELECT *, model, refused FROM calls_rows FINAL;
"""
A_CALL = "('live', '2026-10-01 10:00:00', 'e1', repeat('0', 32), 'worker', 'answer', 'm', 'refused', 'hello', 0.25)"
NEXT_CALL = "('live', '2026-11-01 10:00:00', 'e2', repeat('1', 32), 'worker', 'answer', 'm', 'answered', 'again', NULL)"
OLD_ROWS = (
    "INSERT INTO calls_rows"
    " (run, event_time, event_id, call_id, tier, handler, request_model, status, prompt, cost_usd)"
    f" VALUES {A_CALL}, {A_CALL}, {NEXT_CALL}"
)


def test_an_older_database_is_brought_to_what_a_new_one_is_with_all_its_rows(
    config: ClickHouseConfig, tmp_path: Path
) -> None:
    assert migrate(config, files(tmp_path, *NAMES)) == NAMES
    ask(config, OLD_ROWS)
    (tmp_path / LATER).write_text(ADDED, "utf-8")
    assert migrate(config, tmp_path) == [LATER]
    new = replace(config, database=f"{config.database}_new")
    migrate(new, tmp_path)
    assert schema(config) == schema(new)
    rows = ask(config, "SELECT event_id, prompt, refused, cost_usd, explored, later FROM calls ORDER BY event_id")
    assert rows == [("e1", "hello", True, Decimal("0.25"), False, None), ("e2", "again", False, None, False, None)]
    one = event("e9")
    write(config, call(one), outcome(one), verdict(one), label(one, "x"))
    for view in ("calls", "outcomes", "verdicts", "labels"):
        assert ("e9",) in ask(config, f"SELECT event_id FROM {view}")
    assert migrate(config, tmp_path) == []


@pytest.mark.parametrize("checksums", [True, False])
def test_a_database_from_before_the_first_release_is_refused_with_the_remedy(
    config: ClickHouseConfig, checksums: bool
) -> None:
    migrate(config)
    ask(config, "INSERT INTO migrations (name, checksum) VALUES ('0001_audit.sql', 'of a file that was replaced')")
    if not checksums:
        ask(config, "ALTER TABLE migrations DROP COLUMN checksum")
    with pytest.raises(ConfigError, match="before the first release") as caught:
        migrate(config)
    assert "ESCALON_CLICKHOUSE_DATABASE" in caught.value.remedy
    assert "ESCALON_DATA" in caught.value.remedy  # the embedded server has one database alone


def test_a_file_that_changed_after_it_was_applied_is_refused_before_anything_is_done(
    config: ClickHouseConfig, tmp_path: Path
) -> None:
    migrate(config, files(tmp_path, *NAMES[:2]))
    files(tmp_path, *NAMES)
    changed = tmp_path / NAMES[1]
    changed.write_text(changed.read_text("utf-8").replace("AFTER 10 MINUTE", "AFTER 20 MINUTE"), "utf-8")
    with pytest.raises(ConfigError, match=f"{NAMES[1]} changed"):
        migrate(config, tmp_path)
    assert ask(config, "SELECT count() FROM migrations FINAL") == [(2,)]


def test_a_comment_may_change(config: ClickHouseConfig, tmp_path: Path) -> None:
    migrate(config, files(tmp_path, *NAMES))
    changed = tmp_path / NAMES[1]
    changed.write_text(f"-- Said better.\n{changed.read_text('utf-8')}", "utf-8")
    assert migrate(config, tmp_path) == []


class Stop(Exception):  # noqa: N818  not an error: the process was killed
    """The migrating process is killed."""


class Mortal:
    """A client that is killed after some commands."""

    def __init__(self, client: Any, left: int) -> None:
        self.__dict__.update(client=client, left=left)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.client, name, value)

    def command(self, statement: str) -> None:
        """Run a statement, or die before it."""
        if self.left == 0:
            raise Stop
        self.__dict__["left"] -= 1
        self.client.command(statement)


@dataclass(frozen=True, slots=True, kw_only=True)
class MortalConfig(ClickHouseConfig):
    """Connects with clients that die."""

    commands: int

    def connect(self, *, database: str | None = None, readonly: bool = False) -> Any:
        """A client that dies."""
        inner = ClickHouseConfig(url=self.url, database=self.database)
        return Mortal(inner.connect(database=database, readonly=readonly), self.commands)


def test_a_migration_that_stops_anywhere_and_is_run_again_ends_as_if_it_had_not(
    config: ClickHouseConfig, fresh: ClickHouseConfig
) -> None:
    for commands in range(0, sum(len(one.statements) for one in FILES), 6):
        one = replace(config, database=f"{config.database}_{commands}")
        with pytest.raises(Stop):
            migrate(MortalConfig(url=one.url, database=one.database, commands=commands))
        migrate(one)
        assert schema(one) == schema(fresh)


def test_several_that_migrate_at_once_all_succeed_and_the_tables_are_right(
    config: ClickHouseConfig, fresh: ClickHouseConfig
) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(migrate, config, retention=Retention(30, 0)) for _ in range(4)]
        for run in runs:
            run.result()
    migrate(fresh, retention=Retention(30, 0))
    assert schema(config) == schema(fresh)
    assert migrate(config, retention=Retention(30, 0)) == []


def test_a_statement_that_clickhouse_refuses_is_reported_in_its_words(config: ClickHouseConfig, tmp_path: Path) -> None:
    (tmp_path / "0001_wrong.sql").write_text("CREATE TABLE IF NOT EXISTS a_rows (a Strin) ENGINE = Memory;\n")
    with pytest.raises(ServiceError, match="Strin") as caught:
        migrate(config, tmp_path)
    assert isinstance(caught.value.__cause__, ClickHouseError)


def test_what_is_printed_makes_the_same_database_and_notes_what_it_made(
    config: ClickHouseConfig, fresh: ClickHouseConfig
) -> None:
    kept = Retention(30, 400)
    with closing(config.connect(database="")) as client:
        for statement in statements(script(config.database, retention=kept)):
            if statement.startswith("USE "):
                client.database = statement.split()[1]
            else:
                client.command(statement)
    migrate(fresh, retention=kept)
    assert schema(config) == schema(fresh)
    assert migrate(config, retention=kept) == []
