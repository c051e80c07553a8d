"""The same DDL for a cluster: rows in replicated local tables, and a Distributed table under the name all write to.

On one server `calls_rows` holds the rows. On a cluster `calls_local` holds a shard's part of them, and `calls_rows`
sends each row to the shard of its key and reads all shards, so that the sink and every view stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from streams.core.errors import ConfigError, EscalonError

NAME = re.compile(r"[\w.{}-]+")
# Every replica of a shard has the path in common; {shard} and {replica} are macros of each server's configuration.
PATH = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
# What is little and must be whole on every server is one table with a replica on each.
WHOLE_PATH = "'/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}'"

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)_rows\b")
_WHOLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\b")
_SUMS = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+)_rows\b")
_VIEW = re.compile(r"CREATE (?:OR REPLACE )?VIEW (?:IF NOT EXISTS )?(\w+)\b")
_ALTER = re.compile(r"ALTER TABLE (\w+)_rows\b")
_DATABASE = re.compile(r"CREATE DATABASE IF NOT EXISTS (\w+)\b")
_ENGINE = re.compile(r"\bENGINE = ReplacingMergeTree(?:\((\w+)\))?")
_KEY = re.compile(r"\bORDER BY \(?([\w, ]+)\)?")
_COLUMNS = re.compile(r"\b(ADD|MODIFY|DROP|RENAME) COLUMN\b")
_TTL = re.compile(r"\bTTL\b")
_RESORT = re.compile(r",\s*MODIFY ORDER BY \([\w, ]+\)")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of the server's configuration, and the database on it; raises ConfigError for a wrong name."""

    name: str
    database: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            remedy = "Use the name from the servers' remote_servers, or a macro such as {cluster}."
            raise ConfigError(f"{self.name!r} is no name of a cluster.", remedy, "cluster")

    def spread(self, statement: str) -> list[str]:
        """One statement of ours as those a cluster needs, in the order they must run in."""
        if found := _DATABASE.match(statement):
            return [self._on(statement, found)]
        if found := _TABLE.match(statement):
            local = self._on(_replicated(statement, PATH), found, f"{found[1]}_local")
            return [local, self._distributed(found[1], _shard_by(statement))]
        if found := _SUMS.match(statement):
            # Each shard sums up its own rows; rows that replace each other lie on one shard, so nothing counts twice.
            local = re.sub(r"\b(\w+)_rows\b", r"\1_local", self._on(statement, found))
            return [local, self._distributed(found[1], "rand()")]
        if found := _WHOLE.match(statement):
            return [self._on(_replicated(statement, WHOLE_PATH), found)]
        if found := _VIEW.match(statement):
            return [self._on(statement, found)]
        if found := _ALTER.match(statement):
            local = self._on(statement, found, f"{found[1]}_local")
            of_columns = _COLUMNS.search(statement) and not _TTL.search(statement)
            return [local, _RESORT.sub("", self._on(statement, found))] if of_columns else [local]
        raise EscalonError(f"No form for a cluster is known of: {statement[:80]}", "Add it to clickhouse_cluster.py.")

    def _on(self, statement: str, found: re.Match[str], name: str | None = None) -> str:
        head = found[0] if name is None else re.sub(r"\w+$", name, found[0])
        return f"{head} ON CLUSTER '{self.name}'{statement[found.end() :]}"

    def _distributed(self, table: str, key: str) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {table}_rows ON CLUSTER '{self.name}' AS {self.database}.{table}_local\n"
            f"ENGINE = Distributed('{self.name}', '{self.database}', '{table}_local', {key})"
        )


def _replicated(statement: str, path: str) -> str:
    def engine(found: re.Match[str]) -> str:
        arguments = path if found[1] is None else f"{path}, {found[1]}"
        return f"ENGINE = ReplicatedReplacingMergeTree({arguments})"

    return _ENGINE.sub(engine, statement)


def _shard_by(statement: str) -> str:
    """A function of the sorting key alone, so that rows that replace each other meet on one shard.

    The event where the key has it, so that all rows of one event lie together; else what is last in the key.
    """
    key = _KEY.search(statement)
    if key is None:
        raise EscalonError(f"No sorting key is found in: {statement[:80]}", "Write ORDER BY with plain columns.")
    columns = [name.strip() for name in key[1].split(",")]
    return f"cityHash64({'event_id' if 'event_id' in columns else columns[-1]})"
