"""TLS and logins to Kafka and ClickHouse, listening sockets, and secrets that show nowhere, on a running pipeline.

The tests build on each other, in order: the last one looks for the secrets in all that the others left behind.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer

from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.topic_reader import TopicReader
from streams.app.process import TIERS
from streams.audit.query import Audit
from tests.harness.secure.pipeline import USER, CommandEnd, Secure, escalon, planted
from tests.harness.secure.sockets import command_lines, family, listening

pytestmark = pytest.mark.embedded

TEXTS = {
    "routine": "When are you open?",
    "refused": "Where does my neighbour live?",
    "echoed": "what went wrong with your key?",
    "gateway": "what do you know of a gateway?",
    "open": "please think about everything",
}
WAITING = {"echoed", "gateway"}
"""Events that no model can be asked about while the key is refused."""
SAID: list[tuple[str, str]] = []
"""The output of all commands in these tests."""


def run_and_keep(secure: Secure, *arguments: str, **settings: str) -> CommandEnd:
    """A command's end, remembered for the search."""
    done = escalon(secure, *arguments, **settings)
    SAID.append((" ".join(arguments), done.said))
    return done


def lacking_tls(secure: Secure) -> None:
    if not secure.extra:
        pytest.skip("skipped: the servers in memory have neither TLS nor logins; the variant on Apache Kafka has")


def test_every_part_of_a_pipeline_works(secure: Secure) -> None:
    with secure.journey.publisher() as publisher:
        for event_id, text in TEXTS.items():
            publisher.publish(text, id=event_id)
    producer = Producer(secure.journey.running.kafka.confluent())
    producer.produce("events", b"\xff\xfe", headers=[("escalon-event-id", b"broken")])
    assert producer.flush(20) == 0
    answered = set(TEXTS) - WAITING
    found = secure.journey.outcomes(answered)
    assert {name: found[name][0].state for name in found} == dict.fromkeys(answered, "answered")
    assert secure.journey.dead_letters({"broken"})["broken"][0].reason == "invalid_utf8"
    rows = secure.journey.query(
        "SELECT uniqExact(event_id) AS n FROM outcomes", lambda rows: rows[0]["n"] == len(answered)
    )
    assert rows[0]["n"] == len(answered)
    deferred = "SELECT DISTINCT event_id FROM calls WHERE decision = 'deferred'"
    rows = secure.journey.query(deferred, lambda rows: len(rows) == len(WAITING))
    assert {row["event_id"] for row in rows} == WAITING
    rows = secure.journey.query("SELECT count() AS n FROM calls WHERE error LIKE '%[key]%'", lambda rows: rows[0]["n"])
    assert rows[0]["n"] >= 2, "each of the two tiers was told the key"


def test_the_commands_work_with_the_same_settings(secure: Secure) -> None:
    for arguments in (
        ("topics",),
        ("outcomes", "--json"),
        ("verify", "--json"),
        ("query", "SELECT * FROM calls", "--json"),
        ("query", "SELECT * FROM dead_letters", "--json"),
        ("trace", "echoed"),
    ):
        done = run_and_keep(secure, *arguments)
        assert done.code == 0, done.said


def test_the_other_mechanism_serves_a_tier_as_well(secure: Secure) -> None:
    lacking_tls(secure)
    of = secure.journey.running
    child = of.start("work", "sha-256", {"ESCALON_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256", "ESCALON_WEB_PORT": ""})
    of.wait_ready(child, "work", "sha-256")
    of.supervisor.stop(child)
    assert child.process.returncode == 0


@pytest.mark.parametrize(
    ("command", "settings", "words"),
    [
        ("topics", {"ESCALON_KAFKA_PASSWORD": "{wrong}", "ESCALON_KAFKA_PASSWORD_FILE": ""}, "refuses the login"),
        ("topics", {"ESCALON_KAFKA_CA_FILE": "{other_ca}"}, "ESCALON_KAFKA_CA_FILE"),
        ("topics", {"ESCALON_KAFKA_KEY_PASSWORD": "{wrong}", "ESCALON_KAFKA_KEY_PASSWORD_FILE": ""}, "KEY_PASSWORD"),
        ("topics", {"ESCALON_KAFKA_CERT_FILE": "", "ESCALON_KAFKA_KEY_FILE": ""}, "requires a client certificate"),
        ("report", {"ESCALON_CLICKHOUSE_PASSWORD": "{wrong}", "ESCALON_CLICKHOUSE_PASSWORD_FILE": ""}, "this password"),
        ("report", {"ESCALON_CLICKHOUSE_CA_FILE": "{other_ca}"}, "ESCALON_CLICKHOUSE_CA_FILE"),
    ],
)
def test_a_wrong_login_or_authority_is_reported_with_what_to_do(
    secure: Secure, command: str, settings: dict[str, str], words: str
) -> None:
    lacking_tls(secure)
    secure.secrets.setdefault("mistyped", planted("mistyped"))
    given = {name: value.format(wrong=secure.secrets["mistyped"], **secure.extra) for name, value in settings.items()}
    done = run_and_keep(secure, command, **given)
    assert done.code in (1, 2)
    assert words in " ".join(done.said.split())
    assert "Traceback" not in done.said


@pytest.mark.parametrize(
    ("command", "name", "address"),
    [
        ("report", "ESCALON_CLICKHOUSE", "http://me:{}@127.0.0.1:1"),
        ("report", "ESCALON_CLICKHOUSE", "tcp//me:{}/@127.0.0.1:x"),
        ("topics", "ESCALON_KAFKA", "me:{}@127.0.0.1:1"),
        ("outcomes", "ESCALON_SCHEMA_REGISTRY", "http://me:{}@127.0.0.1:1"),
        ("outcomes", "ESCALON_SCHEMA_REGISTRY_PASSWORD", "{}"),
        ("publish", "ESCALON_BLOBS", "ftp://me:{}@127.0.0.1:1/blobs"),
        ("publish", "ESCALON_BLOBS", "no-such-protocol://me:{}@127.0.0.1/blobs"),
        ("topics", "ANTHROPIC_BASE_URL", "https://me:{}@127.0.0.1:1"),
    ],
)
def test_an_address_or_login_that_fails_is_reported_without_its_secret(
    secure: Secure, command: str, name: str, address: str
) -> None:
    secret = secure.secrets.setdefault(f"{name} {address}", planted("login"))
    (secure.directory / "one.jsonl").write_text('{"id": "late", "text": "thanks"}\n')
    arguments = (command, "one.jsonl") if command == "publish" else (command,)
    done = run_and_keep(secure, *arguments, **{name: address.format(secret)})
    assert done.code in (1, 2)
    assert "ESCALON_" in done.said or "ANTHROPIC_" in done.said
    assert "Traceback" not in done.said


def test_all_that_listens_is_bound_to_this_machine_alone(secure: Secure) -> None:
    pids = family(os.getpid())
    sockets = list(listening(pids))
    assert {str(address) for _, address, _ in sockets} <= {"127.0.0.1", "::1"}
    of = secure.journey.running
    ports = {port for _, _, port in sockets}
    assert set(range(secure.web_port, secure.web_port + len(TIERS))) <= ports
    assert {int(of.kafka.servers.rpartition(":")[2]), int(of.clickhouse.url.rpartition(":")[2])} <= ports
    assert all(address == ip_address("127.0.0.1") for _, address, port in sockets if port >= secure.web_port)


def places(secure: Secure) -> Iterator[tuple[str, bytes]]:
    """All that anybody could look at, by name."""
    of = secure.journey.running
    for directory in ("data", "server-logs"):
        for path in (secure.directory / directory).rglob("*"):
            if path.is_file():
                yield str(path), path.read_bytes()
    tail = TopicReader(of.kafka, sorted(describe_cluster(of.kafka).partitions.keys() - {"__consumer_offsets"}))
    for record in tail.to_end():
        parts = (record.key or b"", record.value or b"", repr(record.headers).encode())
        yield f"topic {record.topic}", b"\n".join(parts)
    tail.close()
    audit, client = Audit(of.clickhouse), of.clickhouse.connect()
    # A view with parameters, such as {run:String}, holds no data of its own and cannot be read without them.
    tables = "SELECT name FROM system.tables WHERE database = currentDatabase() AND as_select NOT LIKE '%{%:%}%'"
    for table in audit.query(tables).rows:
        yield f"table {table[0]}", client.raw_query(f"SELECT * FROM `{table[0]}` FORMAT JSONEachRow")
    client.close()
    audit.close()
    for port in range(secure.web_port, secure.web_port + len(TIERS)):
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            yield f"metrics {port}", page.read()
    yield "command lines", command_lines(family(os.getpid()))
    yield "repr", repr((of, of.settings, of.kafka, of.clickhouse)).encode()
    yield from ((f"escalon {command}", said.encode()) for command, said in SAID)


def spellings(secret: str) -> set[bytes]:
    """The spellings in which it may occur."""
    logins = {b64encode(f"{user}:{secret}".encode()) for user in (USER, "me")}
    return {secret.encode(), quote(secret, safe="").encode(), b64encode(secret.encode())} | logins


def test_no_secret_shows_anywhere(secure: Secure) -> None:
    assert len(secure.secrets) >= 10
    wanted = {name: spellings(secret) for name, secret in secure.secrets.items()}
    control, seen, found = TEXTS["refused"].encode(), set(), []
    for place, data in places(secure):
        seen |= {place.partition(" ")[0]} if control in data else set()
        found += [f"{name} in {place}" for name, spelt in wanted.items() if any(one in data for one in spelt)]
    assert {"topic", "table", "escalon"} <= seen, "what the search must find it did not find"
    assert found == []
    assert secure.collector.headers, "the collector was never asked, so what it repeats was not put to the test"


def test_the_services_were_given_what_they_are_to_know(secure: Secure) -> None:
    header = f"Bearer {secure.secrets['otlp-header']}"
    assert any(header in sent.values() for sent in secure.collector.headers)
    asked = secure.journey.claude.server.requests
    assert all(any(secure.secrets["anthropic-key"] in value for value in one.headers.values()) for one in asked)
    assert any("versions" in request for request in secure.registry.requests)


def test_the_search_covers_the_logs_of_every_process(secure: Secure) -> None:
    logs = {path.stem for path in (secure.directory / "data" / "logs").glob("*.log")}
    assert set(TIERS) <= logs
    whole = b"".join(Path(secure.directory / "data" / "logs" / f"{tier}.log").read_bytes() for tier in TIERS)
    assert b"[hidden]" in whole, "nothing was hidden, so no library was led to tell a secret"
