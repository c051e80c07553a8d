from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from streams.core.errors import ServiceError
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor
from tests.harness.clickhouse_blocks import opened
from tests.harness.clickhouse_client import connect

pytestmark = pytest.mark.embedded

COLUMNS = ["id", "cost", "at", "note", "tags", "attributes", "tier", "version"]
ROW: list[Any] = [1, Decimal("0.123456789"), datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), None]
ROW += [["a", "b'\n"], {"k": "v"}, "reason", 1]


@pytest.fixture
def client(clickhouse: str) -> Iterator[Any]:
    client = connect(clickhouse)
    client.command("DROP TABLE IF EXISTS calls")
    client.command(
        "CREATE TABLE calls (id UInt64, cost Decimal(18, 9), at DateTime64(6, 'UTC'), note Nullable(String),"
        " tags Array(String), attributes Map(String, String), tier LowCardinality(String), version UInt64)"
        " ENGINE = ReplacingMergeTree(version) ORDER BY id"
    )
    yield client
    client.close()


def test_every_type_comes_back_as_it_was_inserted(client: Any) -> None:
    assert client.insert("calls", [ROW], column_names=COLUMNS).written_rows == 1
    found = client.query("SELECT * FROM calls", tz_mode="aware")
    assert found.column_names == tuple(COLUMNS)
    assert list(found.result_rows[0]) == ROW


def test_final_keeps_only_the_latest_version(client: Any) -> None:
    newer = [*ROW[:6], "work", 2]
    client.insert("calls", [ROW], column_names=COLUMNS)
    client.insert("calls", [newer], column_names=COLUMNS)
    assert client.query("SELECT tier, version FROM calls FINAL").result_rows == [("work", 2)]


def test_an_empty_result_has_its_column_names(client: Any) -> None:
    found = client.query("SELECT id, tier FROM calls WHERE id = {id:UInt64}", parameters={"id": 9})
    assert (found.column_names, found.result_rows) == (("id", "tier"), [])


def test_parameters_arrive_unchanged(client: Any) -> None:
    given = {"text": "a\tb'\\\n", "list": [1, 2], "at": datetime(2026, 1, 1)}
    sql = "SELECT {text:String}, {list:Array(Int32)}, {at:DateTime}"
    assert client.query(sql, parameters=given).result_rows == [tuple(given.values())]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip"])
def test_rows_and_results_travel_compressed(clickhouse: str, encoding: str) -> None:
    compressed = connect(clickhouse, compress=encoding)
    rows = [[number, *ROW[1:]] for number in range(20_000)]
    assert compressed.insert("calls", rows, column_names=COLUMNS).written_rows == 20_000
    assert len(compressed.query("SELECT id, tags FROM calls").result_rows) == 20_000
    with compressed.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        assert sum(map(len, blocks)) == 300_000


def test_any_format_can_be_inserted_and_read(client: Any) -> None:
    rows = b'{"id": 7}\n{"id": 8}\n'
    assert client.raw_insert("calls", column_names=["id"], insert_block=rows, fmt="JSONEachRow").written_rows == 2
    assert client.raw_query("SELECT id FROM calls ORDER BY id", fmt="CSVWithNames") == b'"id"\n7\n8\n'


def test_a_streamed_insert_larger_than_the_servers_look_ahead_is_whole(client: Any) -> None:
    rows = (b'{"id": %d}\n' % number * 1000 for number in range(100))
    done = client.raw_insert("calls", column_names=["id"], insert_block=rows, fmt="JSONEachRow")
    assert done.written_rows == 100_000


def test_data_sent_along_is_a_table_of_that_query_only(client: Any) -> None:
    sent = ExternalData(file_name="ids.csv", fmt="CSV", structure="id UInt64, n Decimal(9, 2)", data=b"4,1.5\n")
    assert client.query("SELECT * FROM ids", external_data=sent).result_rows == [(4, Decimal("1.50"))]
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM ids")


def test_a_session_keeps_its_settings_and_a_requests_own_end_with_it(clickhouse: str) -> None:
    client = connect(clickhouse, session_id="settings")
    asked = "SELECT getSetting('max_block_size')"
    client.command("SET max_block_size = 1000")
    assert client.query(asked, settings={"max_block_size": 77}).result_rows == [(77,)]
    assert client.query(asked).result_rows == [(1000,)]
    assert connect(clickhouse).query(asked).result_rows != [(1000,)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nowhere", 60),
        ("SELECT * FROM nowhere.calls", 81),
        ("SELECT nothing", 47),
        ("CREATE TABLE k (a Int8) ENGINE = Kafka('h', 't', 'g', 'JSON')", 344),
        ("SELECT 1 INTO OUTFILE 'x'", 344),
    ],
)
def test_a_failure_carries_clickhouses_own_code(client: Any, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as failed:
        client.command(sql)
    assert failed.value.code == code


def test_an_error_after_the_first_rows_reaches_the_client(client: Any) -> None:
    sql = "SELECT throwIf(number = 2000000) FROM numbers(3000000)"
    with pytest.raises(StreamFailureError, match="throwIf"), client.query_row_block_stream(sql) as blocks:
        for _ in blocks:
            pass


def test_a_broken_row_leaves_nothing_of_its_insert(client: Any) -> None:
    with pytest.raises(DatabaseError):
        client.raw_insert("calls", column_names=["id"], insert_block=b"1\nnot a number\n", fmt="CSV")
    assert client.command("SELECT count() FROM calls") == 0


def test_rows_that_violate_a_constraint_are_an_error_and_not_acknowledged(client: Any) -> None:
    client.command("ALTER TABLE calls ADD CONSTRAINT positive CHECK id > 0")
    with pytest.raises(DatabaseError, match="VIOLATED_CONSTRAINT") as failed:
        client.raw_insert("calls", column_names=["id"], insert_block=b"1\n0\n", fmt="CSV")
    assert failed.value.code == 469
    assert client.command("SELECT count() FROM calls") == 0


def test_rows_of_too_many_partitions_are_an_error_unless_the_client_allows_them(client: Any) -> None:
    client.command("CREATE OR REPLACE TABLE months (at Date) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY at")
    rows = b"".join(b"%d-%02d-01\n" % (1990 + number // 12, 1 + number % 12) for number in range(130))
    with pytest.raises(DatabaseError) as failed:
        client.raw_insert("months", insert_block=rows, fmt="CSV")
    assert (failed.value.code, client.command("SELECT count() FROM months")) == (252, 0)
    done = client.raw_insert("months", insert_block=rows, fmt="CSV", settings={"max_partitions_per_insert_block": 0})
    assert (done.written_rows, client.command("SELECT count() FROM months")) == (130, 130)


def test_a_table_that_has_too_many_parts_takes_no_more(client: Any) -> None:
    client.command("SYSTEM STOP MERGES calls")
    client.command("ALTER TABLE calls MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1")
    client.raw_insert("calls", column_names=["id"], insert_block=b"1\n", fmt="CSV")
    with pytest.raises(DatabaseError) as failed:
        client.raw_insert("calls", column_names=["id"], insert_block=b"2\n", fmt="CSV")
    assert failed.value.code == 252
    assert client.command("SELECT count() FROM calls") == 1


def test_an_insert_may_name_its_own_settings_and_send_no_rows(clickhouse: str, client: Any) -> None:
    head = b"INSERT INTO calls (id) -- SETTINGS a = 1\nSETTINGS max_insert_block_size = 5 FORMAT CSV\n"
    assert request(clickhouse, "POST", "/", head + b"4\n")[0] == 200
    assert request(clickhouse, "POST", "/", head)[0] == 200
    assert client.command("SELECT groupArray(id) FROM calls") == "[4]"


def test_a_reader_reads_and_changes_nothing(client: Any, clickhouse: str) -> None:
    client.insert("calls", [ROW], column_names=COLUMNS)
    reader = connect(clickhouse, username="reader")
    assert reader.command("SELECT count() FROM calls") == 1
    for sql in ("DROP TABLE calls", "INSERT INTO calls (id) VALUES (2)", "TRUNCATE TABLE calls"):
        with pytest.raises(DatabaseError) as refused:
            reader.command(sql)
        assert refused.value.code == 164
    with pytest.raises(DatabaseError):
        reader.insert("calls", [ROW], column_names=COLUMNS)
    with pytest.raises(DatabaseError, match="may not reach files"):
        reader.command("SELECT file('/etc/hostname')")


@pytest.mark.usefixtures("client")
async def test_the_asynchronous_client_works_concurrently(clickhouse: str) -> None:
    parts = urlsplit(clickhouse)
    async_client = await clickhouse_connect.get_async_client(host=parts.hostname, port=parts.port)
    try:
        await async_client.insert("calls", [ROW], column_names=COLUMNS)
        sql = "SELECT count() + {n:Int32} FROM calls"
        asked = [async_client.query(sql, parameters={"n": number}) for number in range(5)]
        assert [found.result_rows[0][0] for found in await asyncio.gather(*asked)] == [1, 2, 3, 4, 5]
    finally:
        await async_client.close()


def request(url: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_ping_answers_without_a_user(clickhouse: str) -> None:
    assert request(clickhouse, "GET", "/ping") == (200, b"Ok.\n")


def test_get_changes_nothing(client: Any, clickhouse: str) -> None:
    status, body = request(clickhouse, "GET", "/?query=" + quote("DROP TABLE calls"))
    assert (status, b"READONLY" in body) == (403, True)
    status, _ = request(clickhouse, "GET", "/?session_id=a&query=" + quote("DROP TABLE calls"))
    assert (status, client.command("EXISTS calls")) == (403, 1)


def test_a_gzip_body_is_read(clickhouse: str) -> None:
    body = gzip.compress(b"SELECT 5 AS five FORMAT JSONEachRow")
    assert request(clickhouse, "POST", "/", body, Content_Encoding="gzip") == (200, b'{"five":5}\n')


def test_a_web_page_of_another_site_is_refused(clickhouse: str) -> None:
    assert request(clickhouse, "POST", "/", b"SELECT 1", Origin="http://example.org")[0] == 403
    assert request(clickhouse, "POST", "/", b"SELECT 1", Host="example.org")[0] == 403


def test_a_statement_in_flight_locks_its_session(clickhouse: str) -> None:
    started: list[tuple[int, bytes]] = []
    path = "/?session_id=slow"
    slow = threading.Thread(
        target=lambda: started.append(request(clickhouse, "POST", path, b"SELECT sleep(1), 'mine'"))
    )
    slow.start()
    asked = b"SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(1)%'"
    while slow.is_alive() and request(clickhouse, "POST", "/", asked)[1] != b"1\n":
        pass
    status, body = request(clickhouse, "POST", path, b"SELECT 1")
    slow.join()
    assert (status, b"SESSION_IS_LOCKED" in body) == (409, True)
    assert started == [(200, b"0\tmine\n")]


def test_users_of_a_file_must_give_their_password(tmp_path: Path) -> None:
    users = tmp_path / "users.json"
    users.write_text(json.dumps([{"name": "default", "password": "secret", "readonly": False}]))
    port_file = tmp_path / "port"
    with Supervisor(tmp_path / "logs") as supervisor:
        argv = [sys.executable, "-m", "streams.embedded.clickhouse_server", "--path", str(tmp_path / "data")]
        child = supervisor.spawn("clickhouse", [*argv, "--port-file", str(port_file), "--users", str(users)])
        supervisor.wait_ready(child, port_file.exists, 20)
        url = f"http://127.0.0.1:{port_file.read_text()}"
        assert connect(url, password="secret").command("SELECT 1") == 1
        with pytest.raises(DatabaseError) as refused:
            connect(url, password="wrong")
        assert refused.value.code == 516


def test_an_acknowledged_insert_survives_a_killed_server(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        client = connect(start_clickhouse(supervisor, tmp_path))
        client.command("CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id")
        for number in range(20):
            client.insert("kept", [[number]], column_names=["id"])
        os.kill(supervisor.pids()["clickhouse"], signal.SIGKILL)
    with Supervisor(tmp_path / "logs") as supervisor:
        client = connect(start_clickhouse(supervisor, tmp_path))
        assert client.command("SELECT count() FROM kept") == 20


def threads(supervisor: Supervisor) -> int:
    """Count the engine's threads."""
    return len(list(Path(f"/proc/{supervisor.pids()['clickhouse']}/task").iterdir()))


@pytest.mark.slow
def test_the_removal_of_many_parts_leaves_no_crowd_of_threads(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        client = connect(start_clickhouse(supervisor, tmp_path))
        client.command("CREATE TABLE t (n Int64) ENGINE = MergeTree ORDER BY n SETTINGS old_parts_lifetime = 1")
        client.command("SYSTEM STOP MERGES t")
        for number in range(150):
            client.command(f"INSERT INTO t VALUES ({number})")
        client.command("SYSTEM START MERGES t")
        client.command("OPTIMIZE TABLE t FINAL")
        gone, deadline = "SELECT count() < 150 FROM system.parts WHERE table = 't'", time.monotonic() + 60
        while not client.command(gone):
            assert time.monotonic() < deadline, "the old parts are still there"
            time.sleep(0.2)
        assert client.command("SELECT count() FROM t") == 150
        assert threads(supervisor) < 45


def test_a_query_of_many_columns_leaves_no_crowd_of_threads(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(120)]
    wide = "min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
    with Supervisor(tmp_path / "logs") as supervisor:
        client = connect(start_clickhouse(supervisor, tmp_path))
        columns = ", ".join(f"{name} String" for name in names)
        client.command(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY c0 SETTINGS {wide}")
        for _ in range(5):
            values = ", ".join("toString(rand())" for _ in names)
            client.command(f"INSERT INTO t SELECT {values} FROM numbers(2000)")
        sums = ", ".join(f"sum(notEmpty({name}))" for name in names)
        counted = client.query(f"SELECT {sums} FROM t").result_rows
        assert counted == [(10_000,) * len(names)]
        assert threads(supervisor) < 45


def test_a_directory_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "first") as first, Supervisor(tmp_path / "second") as second:
        start_clickhouse(first, tmp_path)
        with pytest.raises(ServiceError, match="Stop the process that uses it"):
            start_clickhouse(second, tmp_path)


@pytest.mark.parametrize("more", ["", "&wait_end_of_query=1", "&enable_http_compression=1"])
def test_a_result_in_clickhouse_s_own_blocks_holds_what_the_plain_one_does(clickhouse: str, more: str) -> None:
    path = f"/?query={quote('SELECT number, toString(number) FROM numbers(30000) FORMAT RowBinary')}"
    status, plain = request(clickhouse, "GET", path)
    assert status == 200
    for on in ("compress=1", "compress=true"):
        status, blocks = request(clickhouse, "GET", f"{path}&{on}{more}", Accept_Encoding="gzip")
        assert (status, b"".join(opened(blocks))) == (200, plain)
    assert request(clickhouse, "GET", f"{path}&compress=0") == (200, plain)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("SELECT nothing", 404, b"nothing"),
        ("SELECT 1&decompress=1", 501, b"compress.client.request=false"),
        ("SELECT 1&client_protocol_version=54460&default_format=Native", 501, b"clickhouse-go"),
        ("SELECT 1&user=nobody", 403, b"Authentication failed"),
    ],
)
def test_an_error_is_in_blocks_where_they_were_asked_for(
    clickhouse: str, query: str, status: int, words: bytes
) -> None:
    path = f"/?query={quote(query, safe='&=')}"
    plain = request(clickhouse, "GET", path)
    in_blocks, said = request(clickhouse, "GET", f"{path}&compress=1")
    assert in_blocks == plain[0] == status
    assert words in b"".join(opened(said))
    assert words in plain[1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("client_protocol_version=54460&default_format=Native", b"clickhouse-go"),
        ("client_protocol_version=54405&default_format=Native", b"client_protocol_version"),
        ("decompress=1", b"compress.client.request=false"),
        ("role=admin", b"has no roles"),
    ],
)
def test_what_would_change_the_bytes_and_is_not_done_is_refused_with_what_to_set(
    clickhouse: str, more: str, words: bytes
) -> None:
    status, said = request(clickhouse, "GET", f"/?query={quote('SELECT 1')}&{more}")
    assert (status, words in said) == (501, True), said


def test_a_revision_of_the_native_format_matters_to_no_other_format(clickhouse: str) -> None:
    path = f"/?query={quote('SELECT 1 FORMAT TabSeparated')}&client_protocol_version=54460"
    assert request(clickhouse, "GET", path) == (200, b"1\n")


def test_rows_of_a_later_native_revision_are_refused(client: Any, clickhouse: str) -> None:
    path = f"/?query={quote('INSERT INTO calls (id) FORMAT Native')}&client_protocol_version=54460"
    status, said = request(clickhouse, "POST", path, b"\1\0")
    assert (status, b"revision 0" in said) == (501, True), said
    assert client.command("SELECT count() FROM calls") == 0
