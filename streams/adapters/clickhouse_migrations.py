"""ClickHouse's tables, brought up to date: DDL files in the order of their names, each applied once.

Every statement can be repeated. A migration that was stopped starts over where it was, and two that run at once each
do the whole without harming the other.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streams.adapters.clickhouse_connection import ClickHouseClient, ClickHouseConfig, reporting_errors
from streams.adapters.clickhouse_layout import TableLayout
from streams.adapters.clickhouse_retention import BODIES, Retention
from streams.core.errors import ConfigError, ServiceError
from streams.packaged_files import resource

CREATE_DATABASE: Final = "CREATE DATABASE IF NOT EXISTS $database $on_cluster"
CREATE_LEDGER: Final = (
    "CREATE TABLE IF NOT EXISTS migrations $on_cluster (name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3),"
    " checksum String) ENGINE = $replacing_merge_tree_everywhere ORDER BY name"
)
BEFORE_RELEASE: Final = re.compile(r"\d{4}_\w+\.sql")
"""Files of the development before 0.1.0; 01_tables.sql and its neighbours replaced them."""
WAIT_SECONDS: Final = (0.2, 0.5, 1.0, 2.0)
CONCURRENT: Final = re.compile(r"Code: (57|253|517|999)\.")
"""ClickHouse's refusals to one of two that migrate at once: the table or replica is being made by the other, its ALTER
comes first, or the keeper reports a conflict."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One DDL file, its placeholders not filled yet."""

    name: str
    statements: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """The SHA-256 of the statements. Comments may change."""
        return hashlib.sha256(";\n".join(self.statements).encode()).hexdigest()


def migrations(layout: TableLayout, directory: Path | None = None) -> list[Migration]:
    """Return the DDL files for a layout, in order. Files that end in .cluster.sql are for clusters only."""
    files = sorted((directory or resource("clickhouse")).glob("[0-9]*.sql"))
    wanted = (file for file in files if layout.cluster is not None or not file.name.endswith(".cluster.sql"))
    return [Migration(file.name, tuple(statements(file.read_text("utf-8")))) for file in wanted]


def statements(sql: str) -> list[str]:
    """Split a DDL file into its statements: each ends with a semicolon at the end of a line."""
    code = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    return [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", code) if part.strip()]


def migrate(
    config: ClickHouseConfig,
    directory: Path | None = None,
    *,
    cluster: str | None = None,
    retention: Retention | None = None,
) -> list[str]:
    """Apply the files that the database has not had yet; return their names, and the tables whose retention changed.

    A database made on a cluster stays on it when none is named. `retention` None leaves the tables' TTL alone.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    done: list[str] = []
    for wait in (*WAIT_SECONDS, None):
        client = config.connect(database="")
        try:
            _Migrator(client, _layout(client, config.database, cluster), done).run(directory, retention)
            return done
        except ClickHouseError as error:
            if wait is None or not CONCURRENT.search(str(error)):
                what = f"The migration failed ({str(error)[:500]})."
                raise ServiceError(what, "Fix the cause and run `escalon migrate` again.") from error
        finally:
            client.close()
        time.sleep(wait)
    return done


def pending(config: ClickHouseConfig) -> list[str]:
    """Return the names of the DDL files that the database has not had yet. Raises ServiceError."""
    client = config.connect(database="")
    try:
        with reporting_errors("Check the user's rights, then try again."):
            wanted = migrations(_layout(client, config.database, None))
            noted = {"database": config.database, "table": "migrations"}
            known = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {table:String}"
            if not client.query(known, noted).result_rows[0][0]:
                return [one.name for one in wanted]
            client.database = config.database
            applied = {row[0] for row in client.query("SELECT name FROM migrations").result_rows}
            return [one.name for one in wanted if one.name not in applied]
    finally:
        client.close()


def script(
    database: str, directory: Path | None = None, *, cluster: str | None = None, retention: Retention | None = None
) -> str:
    """Return the SQL that `migrate` runs on an empty database, with the notes of what was applied."""
    layout = TableLayout(database, cluster)
    parts = [("the database", [CREATE_DATABASE]), ("what has been applied", ["USE $database", CREATE_LEDGER])]
    for one in migrations(layout, directory):
        noted = f"INSERT INTO migrations (name, checksum) VALUES ('{one.name}', '{one.checksum}')"  # noqa: S608
        parts.append((one.name, [*one.statements, noted]))
    if retention is not None and (wanted := retention.alter({})):
        parts.append(("retention", wanted))
    return (
        "\n".join(
            f"-- {title}\n\n" + "".join(f"{layout.fill(one)};\n\n" for one in sql) for title, sql in parts
        ).rstrip()
        + "\n"
    )


@dataclass(frozen=True, slots=True)
class _Migrator:
    client: ClickHouseClient
    layout: TableLayout
    done: list[str]

    def run(self, directory: Path | None, retention: Retention | None) -> None:
        self._apply([CREATE_DATABASE])
        self.client.database = self.layout.database
        self._apply([CREATE_LEDGER])
        self._refuse_older()
        found, noted = migrations(self.layout, directory), self._noted()
        _refuse_changed(found, noted)
        for one in found:
            if one.name not in noted:
                self._apply(one.statements)
                self.done.append(one.name)
                self.client.insert("migrations", [[one.name, one.checksum]], column_names=["name", "checksum"])
        for statement in retention.alter(self._created()) if retention is not None else ():
            self._apply([statement])
            self.done.append(f"retention of {statement.split()[2].removesuffix('_$rows')}")

    def _apply(self, templates: Iterable[str]) -> None:
        for statement in templates:
            self.client.command(self.layout.fill(statement))

    def _refuse_older(self) -> None:
        names = [row[0] for row in self.client.query("SELECT name FROM migrations").result_rows]
        if any(map(BEFORE_RELEASE.fullmatch, names)):
            what = "the database was made before the first release, whose tables differ."
            remedy = (
                "Name an empty one with ESCALON_CLICKHOUSE_DATABASE; rows can be copied with INSERT … SELECT. With the"
                " embedded ClickHouse set ESCALON_DATA to an empty directory."
            )
            raise ConfigError(what, remedy, "migrations")

    def _noted(self) -> dict[str, str]:
        rows = self.client.query("SELECT name, argMax(checksum, applied_at) FROM migrations GROUP BY name").result_rows
        return dict(rows)

    def _created(self) -> dict[str, str]:
        names = {table: table.removesuffix("rows") + self.layout.rows for table in BODIES}
        return {
            table: str(self.client.query(f"SHOW CREATE TABLE {name}").result_rows[0][0])
            for table, name in names.items()
        }


def _refuse_changed(found: Iterable[Migration], noted: Mapping[str, str]) -> None:
    changed = [one.name for one in found if noted.get(one.name, one.checksum) != one.checksum]
    if changed:
        what = f"{', '.join(changed)} changed after this database had it, so tables and files no longer agree."
        raise ConfigError(what, "Restore the file as it was, and put the change into a new one.", "migrations")


def _layout(client: Any, database: str, cluster: str | None) -> TableLayout:
    """Return the layout that a database has or, when it is empty, is to get. Raises ConfigError when they differ."""
    asked = "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = 'calls_rows'"
    rows = client.query(asked, parameters={"database": database}).result_rows
    if not rows:
        return TableLayout(database, cluster or None)
    found = re.match(r"Distributed\('([^']+)'", rows[0][0])
    if cluster and (found is None or found[1] != cluster):
        where = "on one server" if found is None else f"on the cluster {found[1]}"
        remedy = "Name another one with ESCALON_CLICKHOUSE_DATABASE; rows can be copied with INSERT … SELECT."
        raise ConfigError(f"the database {database} lies {where} already.", remedy, "cluster")
    return TableLayout(database, found[1] if found else None)
