"""The DDL for a cluster: it parses, and runs on the engine as far as one process without a keeper can."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import streams
from streams.adapters.clickhouse import TABLES, ClickHouseConfig, insert, migrate, row_of
from streams.adapters.clickhouse_layout import TableLayout
from streams.adapters.clickhouse_migrations import migrations, script, statements
from streams.adapters.clickhouse_retention import BODIES, Retention
from streams.core.errors import ConfigError
from tests.builders import call, event, label, outcome, verdict
from tests.harness.audit import write

KEPT = Retention(30, 400)
ONE = TableLayout("escalon", "one")
SPREAD = statements(script("escalon", cluster="one", retention=KEPT))


# ---- What is written ----


def test_every_statement_but_those_on_rows_runs_on_the_whole_cluster() -> None:
    on_one_server = [one for one in SPREAD if "ON CLUSTER 'one'" not in one]
    assert {one.split()[0] for one in on_one_server} == {"USE", "INSERT"}


def test_no_table_that_holds_rows_is_without_replicas() -> None:
    engines = re.findall(r"ENGINE = (\w+)", "\n".join(SPREAD))
    assert set(engines) == {"ReplicatedReplacingMergeTree", "Distributed", "MergeTree"}
    (sums,) = (one for one in SPREAD if "ENGINE = MergeTree" in one)
    assert sums.startswith("CREATE MATERIALIZED VIEW IF NOT EXISTS calls_hourly_local")


def test_rows_that_replace_each_other_go_to_one_shard() -> None:
    """The sharding key is made of the sorting key, so equal sorting keys give equal shards."""
    keys = dict(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)_local ON .*?ORDER BY \((.*?)\)", "\n".join(SPREAD), re.S))
    shards = dict(re.findall(r"Distributed\('one', 'escalon', '(\w+)_local', cityHash64\((\w+)\)\)", "\n".join(SPREAD)))
    assert shards.keys() == keys.keys() >= {table.removesuffix("_rows") for table in BODIES}
    for table, column in shards.items():
        assert column in keys[table].split(", "), table
    assert {shards[table] for table in ("calls", "outcomes", "verdicts", "labels", "judgements")} == {"event_id"}


def test_a_retention_is_set_on_the_tables_that_hold_the_rows() -> None:
    altered = [ONE.fill(one) for one in KEPT.alter({})]
    assert altered
    for statement in altered:
        assert re.match(r"ALTER TABLE \w+_local ON CLUSTER 'one' MODIFY ", statement)


def test_a_version_of_a_row_stays_the_engines_argument() -> None:
    engine = ONE.fill("ENGINE = $replacing_merge_tree_by_updated_at")
    path = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    assert engine == f"ENGINE = ReplicatedReplacingMergeTree({path}, updated_at)"


def test_a_placeholder_that_is_not_known_is_not_sent_as_it_is() -> None:
    with pytest.raises(KeyError, match="rwos"):
        ONE.fill("ALTER TABLE calls_$rwos $on_cluster ADD COLUMN IF NOT EXISTS a String")


@pytest.mark.parametrize("name", ["", "a b", "a'; DROP"])
def test_a_malformed_name_of_a_cluster_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        TableLayout("escalon", name)


# ---- On the engine ----


@pytest.mark.parametrize("cluster", [None, "one", "{cluster}"])
def test_every_statement_parses(server: str, cluster: str | None) -> None:
    with closing(ClickHouseConfig(url=server).connect(database="")) as client:
        for statement in statements(script("escalon", cluster=cluster, retention=KEPT)):
            assert client.query("SELECT formatQuery({sql:String})", parameters={"sql": statement}).result_rows


class WithoutKeeper:
    """Sends a statement as a server without a keeper can run it: on itself, without replicas."""

    def __init__(self, client: Any) -> None:
        self.__dict__["client"] = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.client, name, value)

    def command(self, statement: str) -> None:
        """Run it."""
        alone = re.sub(r" ON CLUSTER '\w+'", "", statement)
        alone = re.sub(r"Replicated(ReplacingMergeTree)\('[^']*', '[^']*'(?:, )?", r"\1(", alone)
        assert alone != statement
        self.client.command(alone)


@dataclass(frozen=True, slots=True, kw_only=True)
class AloneConfig(ClickHouseConfig):
    """A server that stands for its whole cluster."""

    def connect(self, *, database: str | None = None, readonly: bool = False) -> Any:
        """Its client."""
        inner = ClickHouseConfig(url=self.url, database=self.database)
        return WithoutKeeper(inner.connect(database=database, readonly=readonly))


@pytest.fixture
def spread(config: ClickHouseConfig) -> ClickHouseConfig:
    """A database made for the cluster."""
    migrate(AloneConfig(url=config.url, database=config.database), cluster="one", retention=KEPT)
    return config


def ask(config: ClickHouseConfig, sql: str) -> list[tuple[Any, ...]]:
    """The rows of an answer."""
    with closing(config.connect()) as client:
        return list(client.query(sql).result_rows)


def test_the_sink_writes_and_the_views_read_as_on_one_server(spread: ClickHouseConfig) -> None:
    one = event("e1", hour=(datetime.now(UTC) - event("e").origin.event_time).total_seconds() / 3600)
    for _ in range(2):
        write(spread, call(one, prompt="p", response_model="m2"), outcome(one), verdict(one), label(one, "x"))
    assert ask(spread, "SELECT count() FROM calls_rows") == [(2,)]
    assert ask(spread, "SELECT count() FROM calls_local") == [(2,)]
    assert ask(spread, "SELECT event_id, model, refused, prompt FROM calls") == [("e1", "m2", False, "p")]
    for view in ("outcomes", "verdicts", "labels"):
        assert ask(spread, f"SELECT event_id FROM {view}") == [("e1",)]
    joined = "SELECT count() FROM calls AS c INNER JOIN verdicts AS v ON v.event_id = c.event_id AND v.run = c.run"
    assert ask(spread, joined) == [(1,)]
    with closing(spread.connect()) as client:
        client.command("SYSTEM REFRESH VIEW calls_hourly_local")
        client.command("SYSTEM WAIT VIEW calls_hourly_local")
    assert ask(spread, "SELECT calls, model FROM calls_hourly") == [(1, "m2")]


def arguments(sql: str) -> dict[str, Any]:
    """A value for each parameter of a query."""
    of_type: dict[str, Any] = {"String": "live", "Float64": "0.5", "Bool": "true", "Array(String)": ["answer"]}
    asked = re.findall(r"\{(\w+):([^}]+)\}", sql)
    return {name: "2020-01-01 00:00:00" if "Date" in kind else of_type.get(kind, "5") for name, kind in asked}


def test_every_shipped_query_runs_over_more_than_one_shard(config: ClickHouseConfig) -> None:
    """ClickHouse plans queries over several shards differently. The second shard is unreachable here."""
    migrate(AloneConfig(url=config.url, database=config.database), cluster="two")
    one = event("e1")
    files = sorted(Path(streams.__path__[0]).rglob("*.sql"))
    beginning = next(file for file in files if file.stem == "heard")  # of the queries heard_*
    files.remove(beginning)
    queries = [
        "\n".join(one.read_text("utf-8") for one in ([beginning] if file.stem.startswith("heard_") else []) + [file])
        for file in files
    ]
    with closing(config.connect()) as client:
        for row in (call(one), outcome(one), verdict(one), label(one, "x")):
            insert(client, TABLES[type(row)].replace("_rows", "_local"), [row_of(row)])
        client.set_client_setting("skip_unavailable_shards", "1")
        client.set_client_setting("connections_with_failover_max_tries", "1")
        for sql in queries:
            client.query(sql, parameters=arguments(sql))
        assert client.query("SELECT count() FROM calls").result_rows == [(1,)]
    assert len(queries) > 10


def test_a_second_run_does_nothing_and_needs_no_name_of_the_cluster(spread: ClickHouseConfig) -> None:
    alone = AloneConfig(url=spread.url, database=spread.database)
    assert migrate(alone, cluster="one", retention=KEPT) == []
    assert migrate(alone, retention=KEPT) == []
    assert migrate(alone, retention=replace(KEPT, row_days=0)) == [
        f"retention of {table.removesuffix('_rows')}" for table in BODIES
    ]


def test_both_tables_have_the_same_columns_after_every_migration(spread: ClickHouseConfig) -> None:
    asked = (
        "SELECT table, groupArray((name, type)) FROM (SELECT * FROM system.columns"
        " WHERE database = currentDatabase() AND match(table, '_(local|rows)$') ORDER BY position) GROUP BY table"
    )
    columns: dict[str, list[Any]] = defaultdict(list)
    for table, found in ask(spread, asked):
        columns[table.rpartition("_")[0]].append(found)
    assert columns.keys() >= {table.removesuffix("_rows") for table in BODIES}
    for table, (local, distributed) in columns.items():
        assert local == distributed, table


MORE = """
ALTER TABLE calls_$rows $on_cluster ADD COLUMN IF NOT EXISTS more Nullable(String) AFTER redaction;
"""
MORE_DISTRIBUTED = """
ALTER TABLE calls_rows ON CLUSTER '$cluster' ADD COLUMN IF NOT EXISTS more Nullable(String) AFTER redaction;
"""
MORE_VIEW = "CREATE OR REPLACE VIEW calls $on_cluster AS SELECT *, model, refused FROM calls_rows FINAL;"


def test_a_cluster_gets_the_columns_of_a_later_file(spread: ClickHouseConfig, tmp_path: Path) -> None:
    for one in migrations(ONE):
        (tmp_path / one.name).write_text(";\n".join(one.statements) + ";\n", "utf-8")
    (tmp_path / "90_more.sql").write_text(MORE, "utf-8")
    (tmp_path / "91_more.cluster.sql").write_text(MORE_DISTRIBUTED, "utf-8")
    (tmp_path / "92_more_view.sql").write_text(MORE_VIEW, "utf-8")
    alone = AloneConfig(url=spread.url, database=spread.database)
    assert migrate(alone, tmp_path) == ["90_more.sql", "91_more.cluster.sql", "92_more_view.sql"]
    write(spread, call(event("e1")))
    assert ask(spread, "SELECT explored, more FROM calls") == [(False, None)]


def test_a_database_of_one_server_is_not_made_one_of_a_cluster(config: ClickHouseConfig) -> None:
    migrate(config)
    with pytest.raises(ConfigError, match="on one server"):
        migrate(config, cluster="one")


def test_a_database_of_one_cluster_is_not_made_one_of_another(spread: ClickHouseConfig) -> None:
    with pytest.raises(ConfigError, match="on the cluster one"):
        migrate(spread, cluster="two")


# The engine has a keeper in memory for its own tests. With it a replicated table can be made, but not written to.
WITH_KEEPER = """
<clickhouse>
  <macros><shard>01</shard><replica>02</replica></macros>
  <zookeeper><implementation>testkeeper</implementation></zookeeper>
</clickhouse>
"""
MAKE_TABLES = """
import json, os, sys
from chdb import session
engine = session.Session(sys.argv[1])
for statement in json.load(sys.stdin):
    engine.query(statement)
print(engine.query("SELECT table, zookeeper_path, replica_name, engine FROM system.replicas", "JSONCompactEachRow"))
sys.stdout.flush()
os._exit(0)
"""


def test_the_engine_takes_the_replicated_tables_with_the_paths_of_their_macros(tmp_path: Path) -> None:
    (tmp_path / "config.xml").write_text(WITH_KEEPER)
    name = "replicated"
    made = [one for one in statements(script(name, cluster="one")) if "Replicated" in one or "DATABASE" in one]
    wanted = [one.replace(" ON CLUSTER 'one'", "") if "DATABASE" in one else _in(name, one) for one in made]
    command = [sys.executable, "-c", MAKE_TABLES, str(tmp_path / "data")]
    done = subprocess.run(
        command, input=json.dumps(wanted), cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    replicas = {row[0]: row[1:] for row in map(json.loads, filter(None, done.stdout.split("\n")))}
    assert replicas["calls_local"] == [
        f"/clickhouse/tables/01/{name}/calls_local",
        "02",
        "ReplicatedReplacingMergeTree",
    ]
    assert replicas["migrations"][:2] == [f"/clickhouse/tables/all/{name}/migrations", "01-02"]
    assert len(replicas) == len(made) - 1


def _in(database: str, statement: str) -> str:
    return statement.replace(" ON CLUSTER 'one'", "").replace("NOT EXISTS ", f"NOT EXISTS {database}.", 1)
