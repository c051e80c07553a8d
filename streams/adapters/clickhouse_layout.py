"""The DDL files filled for one server or for a cluster.

On one server `calls_rows` holds the rows. On a cluster `calls_local` holds a shard's part of them, and `calls_rows`
sends each row to the shard of its key and reads all shards, so the sink and every view are the same in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Template
from typing import Final

from streams.core.errors import ConfigError

CLUSTER_NAME: Final = re.compile(r"[\w.{}-]+")
REPLICA: Final = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
"""All replicas of a shard share the path; {shard} and {replica} are macros of each server's configuration."""
REPLICA_EVERYWHERE: Final = "'/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}'"
"""For a small table that every server holds whole."""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A database on one server or, with `cluster`, on that cluster. Raises ConfigError for a malformed name."""

    database: str
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.cluster is not None and not CLUSTER_NAME.fullmatch(self.cluster):
            remedy = "Use the name from the servers' remote_servers, or a macro such as {cluster}."
            raise ConfigError(f"{self.cluster!r} is not the name of a cluster.", remedy, "cluster")

    @property
    def rows(self) -> str:
        """The last part of the name of a table that holds rows."""
        return "rows" if self.cluster is None else "local"

    def fill(self, statement: str) -> str:
        on_cluster = "" if self.cluster is None else f" ON CLUSTER '{self.cluster}'"
        return Template(statement.replace(" $on_cluster", on_cluster)).substitute(
            database=self.database,
            cluster=self.cluster or "",
            rows=self.rows,
            replacing_merge_tree=self._engine(REPLICA),
            replacing_merge_tree_by_updated_at=self._engine(REPLICA, "updated_at"),
            replacing_merge_tree_everywhere=self._engine(REPLICA_EVERYWHERE),
        )

    def _engine(self, replica: str, *version: str) -> str:
        if self.cluster is None:
            return f"ReplacingMergeTree({', '.join(version)})"
        return f"ReplicatedReplacingMergeTree({', '.join((replica, *version))})"
