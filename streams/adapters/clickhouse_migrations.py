"""ClickHouse's tables, brought up to date: DDL files in the order of their names, each applied once.

Every statement can be run again. So a migration that was stopped starts over where it was, and of two that run at
once each does the whole and neither harms the other.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.adapters.clickhouse_cluster import Cluster
from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.clickhouse_retention import BODIES, Retention
from streams.core.errors import ConfigError, ServiceError
from streams.resources import resource

LEDGER = (
    "CREATE TABLE IF NOT EXISTS migrations (name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3),"
    " checksum String) ENGINE = ReplacingMergeTree ORDER BY name"
)
# A database from before the checksums; on a cluster there was none.
LEDGER_OF_OLD = "ALTER TABLE migrations ADD COLUMN IF NOT EXISTS checksum String"
# Two that migrate at once can be in each other's way for a moment. Then ClickHouse refuses one of them a statement:
# the table or replica is being made by the other, its ALTER comes first, or the keeper tells of a conflict.
WAIT_SECONDS = (0.2, 0.5, 1.0, 2.0)
IN_EACH_OTHERS_WAY = re.compile(r"Code: (57|253|517|999)\.")


@dataclass(frozen=True, slots=True)
class Migration:
    """One DDL file. Its checksum is the sha256 of the statements, so that comments may change."""

    name: str
    statements: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(";\n".join(self.statements).encode()).hexdigest()


def migrations(directory: Path | None = None) -> list[Migration]:
    """All DDL files, in order."""
    files = sorted((directory or resource("clickhouse")).glob("[0-9]*.sql"))
    return [Migration(file.name, tuple(statements(file.read_text("utf-8")))) for file in files]


def statements(sql: str) -> list[str]:
    """The statements of a DDL file: each ends with a semicolon at the end of a line."""
    code = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    return [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", code) if part.strip()]


def migrate(
    config: ClickHouseConfig,
    directory: Path | None = None,
    *,
    cluster: str | None = None,
    retention: Retention | None = None,
) -> list[str]:
    """Apply what the database has not had yet; returns the files' names, and whose retention was changed.

    A database made on a cluster stays on it when none is named. `retention` None leaves the tables' TTL alone.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    done: list[str] = []
    for wait in (*WAIT_SECONDS, None):
        client = config.connect(database="")
        try:
            _Migrator(client, config.database, _place(client, config.database, cluster), done).run(directory, retention)
            return done
        except ClickHouseError as error:
            if wait is None or not IN_EACH_OTHERS_WAY.search(str(error)):
                what = f"The migration failed ({str(error)[:500]})."
                raise ServiceError(what, "Mend the cause and run it again.") from error
        finally:
            client.close()
        time.sleep(wait)
    return done


def script(
    database: str, directory: Path | None = None, *, cluster: str | None = None, retention: Retention | None = None
) -> str:
    """All of it as SQL for an empty database: what `migrate` would run, and what it would note as done."""
    place = Cluster(cluster, database) if cluster else None
    parts = [("the database", _spread([f"CREATE DATABASE IF NOT EXISTS {database}"], place))]
    parts += [("what has been applied", [f"USE {database}", *_spread([LEDGER], place)])]
    for one in migrations(directory):
        noted = f"INSERT INTO migrations (name, checksum) VALUES ('{one.name}', '{one.checksum}')"  # noqa: S608  our own
        parts.append((one.name, [*_spread(one.statements, place), noted]))
    if retention is not None and (wanted := retention.alter({})):
        parts.append(("retention", _spread(wanted, place)))
    return "\n".join(f"-- {title}\n\n" + "".join(f"{one};\n\n" for one in sql) for title, sql in parts).rstrip() + "\n"


@dataclass(frozen=True, slots=True)
class _Migrator:
    client: Any
    database: str
    cluster: Cluster | None
    done: list[str]

    def run(self, directory: Path | None, retention: Retention | None) -> None:
        self._apply(f"CREATE DATABASE IF NOT EXISTS {self.database}")
        self.client.database = self.database
        self._apply(LEDGER)
        if self.cluster is None:
            self._apply(LEDGER_OF_OLD)
        found = migrations(directory)
        noted = self._noted()
        _refuse_changed(found, noted)
        for one in found:
            if one.name not in noted:
                self._apply(*one.statements)
                self.done.append(one.name)
            if not noted.get(one.name):
                self.client.insert("migrations", [[one.name, one.checksum]], column_names=["name", "checksum"])
        if retention is not None:
            for statement in retention.alter(self._created()):
                self._apply(statement)
                self.done.append(f"retention of {statement.split()[2].removesuffix('_rows')}")

    def _apply(self, *those: str) -> None:
        for statement in _spread(those, self.cluster):
            self.client.command(statement)

    def _noted(self) -> dict[str, str]:
        """The checksum of each migration that was applied; empty for those from before there were any."""
        rows = self.client.query("SELECT name, argMax(checksum, applied_at) FROM migrations GROUP BY name").result_rows
        return dict(rows)

    def _created(self) -> dict[str, str]:
        """The CREATE TABLE of each table that holds rows, as ClickHouse prints it now."""
        end = "_rows" if self.cluster is None else "_local"
        names = {table: table.removesuffix("_rows") + end for table in BODIES}
        return {
            table: str(self.client.query(f"SHOW CREATE TABLE {name}").result_rows[0][0])
            for table, name in names.items()
        }


def _spread(those: list[str] | tuple[str, ...], cluster: Cluster | None) -> list[str]:
    return list(those) if cluster is None else [one for statement in those for one in cluster.spread(statement)]


def _refuse_changed(found: list[Migration], noted: dict[str, str]) -> None:
    changed = [one.name for one in found if noted.get(one.name) not in (None, "", one.checksum)]
    if changed:
        what = f"{', '.join(changed)} changed after this database had it, so tables and files no longer agree."
        raise ConfigError(what, "Restore the file as it was, and put the change into a new one.", "migrations")


def _place(client: Any, database: str, cluster: str | None) -> Cluster | None:
    """The cluster the database is to lie on. Raises ConfigError when its tables lie elsewhere already."""
    asked = "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = 'calls_rows'"
    rows = client.query(asked, parameters={"database": database}).result_rows
    if not rows:
        return Cluster(cluster, database) if cluster else None
    found = re.match(r"Distributed\('([^']+)'", rows[0][0])
    if cluster and (found is None or found[1] != cluster):
        where = "on one server" if found is None else f"on the cluster {found[1]}"
        remedy = "Take another one with ESCALON_CLICKHOUSE_DATABASE; rows can be copied with INSERT … SELECT."
        raise ConfigError(f"the database {database} lies {where} already.", remedy, "cluster")
    return Cluster(found[1], database) if found else None
