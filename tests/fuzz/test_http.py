"""The HTTP surfaces under requests that no client sends: they answer or hang up, and then serve the next one."""

from __future__ import annotations

import contextlib
import random
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import lz4.frame
import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.app.settings import read_settings
from streams.embedded.broker import Tansu
from streams.embedded.clickhouse_protocol import QueryError, Statement, find_insert, guard, skeleton_of
from streams.embedded.local_pipeline import RunningPipeline, worker_environment
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor
from streams.pipeline.code import ANY_PYTHON
from streams.telemetry.web import MAX_CONNECTIONS, WebAddress, serve_web
from tests.harness.journey import PIPELINE
from tests.harness.ports import neighbouring_ports

LONG = 200_000
"""Characters. What takes the square of the length would not come back in a day."""


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("clickhouse")
    with Supervisor(directory / "logs") as supervisor:
        yield start_clickhouse(supervisor, directory)
        supervisor.check()


@pytest.fixture(scope="module")
def tier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pages of a tier under Faust."""
    directory, port = tmp_path_factory.mktemp("tier"), neighbouring_ports(1)
    settings = read_settings({"ESCALON_DATA": str(directory), "ESCALON_WEB_PORT": str(port)})
    with Supervisor(directory / "logs") as supervisor:
        kafka, clickhouse = KafkaConfig(servers=Tansu().start(supervisor)), ClickHouseConfig(url="http://127.0.0.1:1")
        create_topics(kafka, settings.topic_prefix, settings.partitions, settings.replication)
        file = PIPELINE / "pipeline.toml"
        environment = worker_environment(replace(settings, python=ANY_PYTHON), kafka, clickhouse, file)
        RunningPipeline(settings, kafka, clickhouse, supervisor, file, environment).start_all(["settle"])
        yield f"http://127.0.0.1:{port}"
        supervisor.check()


@pytest.fixture(params=["plain", pytest.param("tier", marks=pytest.mark.embedded)])
def figures(request: pytest.FixtureRequest) -> Iterator[str]:
    """The pages of a plain consumer, and of a tier under Faust."""
    if request.param == "tier":
        yield request.getfixturevalue("tier")
        return
    server = serve_web(WebAddress("127.0.0.1", 0))
    assert server is not None
    with server:
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def said(url: str, request: bytes) -> bytes:
    """Return the server's answer to some bytes, until it hangs up or is silent."""
    parts = urlsplit(url)
    found = b""
    place = (parts.hostname or "", parts.port or 0)
    with socket.create_connection(place, timeout=10) as connection, contextlib.suppress(OSError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65_536):
            found += piece
    return found


def status(answer: bytes) -> int | None:
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else None


def alive(url: str, path: str) -> bool:
    with urllib.request.urlopen(url + path, timeout=10) as response:  # noqa: S310  our own address
        return bool(response.status == 200)


def post(path: str, body: bytes = b"SELECT 1", headers: dict[str, str] | None = None) -> bytes:
    lines = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Connection": "close"} | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


FORM = {"Content-Type": "multipart/form-data; boundary=x"}
ODD = {
    "a login that is no Base64": post("/", headers={"Authorization": "Basic \udcff\udcfe"}),
    "a login that is half Base64": post("/", headers={"Authorization": "Basic a"}),
    "a password that is no UTF-8": post("/", headers={"X-ClickHouse-User": "\udcff", "X-ClickHouse-Key": "\udcff"}),
    "a session without an end": post("/?session_id=a&session_timeout=nan"),
    "a session that ended before": post("/?session_id=a&session_timeout=-1"),
    "a setting that is none": post("/?a%00b=1"),
    "a setting in no UTF-8": post("/?%ff=1"),
    "a query in no UTF-8": post("/?query=%ff%fe"),
    "an encoding nobody knows": post("/", headers={"Content-Encoding": "br"}),
    "a body that is not compressed": post("/", headers={"Content-Encoding": "zstd"}),
    "half a frame": post("/", lz4.frame.compress(b"SELECT 1")[:-4], {"Content-Encoding": "lz4"}),
    "a form without its end": post("/", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1", FORM),
    "a form without a name": post("/", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", FORM),
    "a form without a boundary": post("/", b"x", {"Content-Type": "multipart/form-data"}),
    "types without an end": post(
        "/?query=SELECT+1&a_types=" + "," * 7000,
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n1\r\n--x--\r\n', FORM,
    ),
    "no statement": post("/", b""),
    "comments only": post("/", b"/**/" * 50_000),
}  # fmt: skip


@pytest.mark.embedded
@pytest.mark.parametrize("name", ODD)
def test_what_is_wrong_with_a_request_is_the_clients_fault_or_nothing(clickhouse: str, name: str) -> None:
    answer = said(clickhouse, ODD[name])
    assert b"Traceback" not in answer
    assert status(answer) in (200, 400, 403, 404, 415, None) or b"DB::Exception" in answer, answer[:300]
    assert alive(clickhouse, "/?query=SELECT+1")


@pytest.mark.embedded
def test_any_bytes_at_all_leave_the_database_serving(clickhouse: str) -> None:
    draw, whole = random.Random(7), list(ODD.values())
    for _ in range(150):
        request = bytearray(draw.choice(whole)[:5000])
        for _ in range(draw.choice((1, 3, 30))):
            request[draw.randrange(len(request))] = draw.randrange(256)
        assert b"Traceback" not in said(clickhouse, bytes(request))
    assert alive(clickhouse, "/?query=SELECT+1")


def test_any_bytes_at_all_leave_the_figures_served(figures: str) -> None:
    draw = random.Random(8)
    for _ in range(150):
        request = bytearray(b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n")
        for _ in range(draw.choice((1, 3, 30))):
            request[draw.randrange(len(request))] = draw.randrange(256)
        answer = said(figures, bytes(request) + draw.randbytes(draw.choice((0, 500))))
        assert b"Traceback" not in answer
    for greedy in (b"GET " + b"/" * 100_000, b"A" * 200_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000, b""):
        said(figures, greedy)
    assert alive(figures, "/metrics")


def test_who_holds_every_place_is_hung_up_on_and_then_the_next_is_served(figures: str) -> None:
    parts = urlsplit(figures)
    with contextlib.ExitStack() as open_:
        held = [
            open_.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=10))
            for _ in range(MAX_CONNECTIONS)
        ]
        for one in held:
            one.sendall(b"GET / HT")
        one_more = open_.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=10))
        with contextlib.suppress(ConnectionError):
            one_more.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert one_more.recv(1) == b""
    while not said(figures, b"GET / HTTP/1.0\r\n\r\n"):
        pass
    assert alive(figures, "/")


# ---- Statements, without a server ----

GREEDY = [
    "/**/" * (LONG // 4),
    "/*" * (LONG // 2),
    "'" * (LONG + 1),
    "'\\" * (LONG // 2),
    "`\\" * (LONG // 2),
    '"\\' * (LONG // 2),
    "SELECT 1 FORMAT a" + " " * LONG + "x",
    "a" * LONG,
    "a " * (LONG // 2),
    "( " * (LONG // 2) + "x",
    "INSERT " + "'a'" * (LONG // 3),
    "INSERT " + "''" * (LONG // 2) + "'",
    "INSERT " + "FORMAT " * (LONG // 7) + "'",
    "ENGINE" + " " * LONG,
    "INTO" + " " * LONG,
    "FROM" + " " * LONG,
    "--" * (LONG // 2),
    "SETTINGS a" + " " * LONG,
    "".join(f"$a{number}$ " for number in range(LONG // 8)),
    "$a$ " * (LONG // 4),
    "`a/" * (LONG // 3),
]


@pytest.mark.parametrize("sql", GREEDY, ids=lambda sql: sql[:8])
def test_a_statement_is_looked_through_in_a_time_that_grows_with_its_length(sql: str) -> None:
    find_insert(sql.encode())
    with contextlib.suppress(QueryError):
        Statement.parse(sql.encode()).without_format()
        for readonly in (False, True):
            guard(skeleton_of(sql), readonly=readonly, outside=frozenset({"file", "url"}))


def test_a_name_with_dollars_hides_nothing_and_a_heredoc_hides_its_words() -> None:
    assert skeleton_of("SELECT 1 AS $a$ INTO OUTFILE 'x'") == "SELECT 1 AS $a$ INTO OUTFILE ''"
    assert skeleton_of("SELECT $a$ ; DROP $b$ $a$, 2") == "SELECT '', 2"
    assert skeleton_of("SELECT $a$b$ ; $b$") == "SELECT $a''"
    assert skeleton_of("SELECT 'it''s', \"a\"\"b\" /* x */ -- y") == 'SELECT \'\', "a""b"    '
