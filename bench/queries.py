"""The speed of the named queries on an audit of 1,000,000 calls: `python -m bench.queries`.

Fills an embedded ClickHouse with 400,000 events of 30 days in three runs, made by the engine itself, asks every named
query three times and prints the median. Exits with 1 if one takes longer than LIMIT_SECONDS.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from streams.adapters.clickhouse import ClickHouseConfig, migrate
from streams.audit.named_queries import NamedQuery, library
from streams.audit.query import Audit
from streams.cli.console import table
from streams.core.errors import EscalonError
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor

LIMIT_SECONDS = 2.0
EVENTS, DAYS, PORTIONS = 400_000, 30, 10
DELIVERED_TWICE = 100
"""Of so many portions of rows one is written a second time."""

# number -> everything that is said of an event. Half of them are live, a quarter each belongs to two replays of those.
EVENT = """
    cityHash64(number, 'event') AS h,
    multiIf(number % 4 = 2, 'candidate-a', number % 4 = 3, 'candidate-b', 'live') AS run,
    toDateTime64('2026-10-25 00:00:00', 6, 'UTC') + toIntervalMicrosecond(
        intDiv(number, 4) * {step:UInt64} + (number % 4 = 1) * 1000) AS event_time,
    concat('mail-', toString(intDiv(number, 4) * 2 + (number % 4 = 1))) AS event_id,
    lower(hex(sipHash128(event_id))) AS trace_id,
    'events' AS source_topic, toInt32(number % 8) AS source_partition, toInt64(number) AS source_offset,
    lower(hex(sipHash128(h % 20000, 'who'))) AS data_subject,
    ['order', 'invoice', 'greeting', 'complaint', 'question'][h % 5 + 1] AS intent,
    h % 100 AS place,
    multiIf(place < 20, 'ignore', place < 25, 'duplicate', place < 30, 'reason', 'work') AS action,
    ['answer', 'extract', 'summarise'][h % 3 + 1] AS worker,
    cityHash64(number, 'sure') % 10000 / 10000 AS sureness,
    sureness < 0.25 AS escalated,
    action = 'work' AND NOT escalated AND cityHash64(number, 'explore') % 50 = 0 AS drawn
"""
WORDS = """
    arrayStringConcat(arrayMap(i -> ['the', 'order', 'parcel', 'has', 'not', 'arrived', 'please', 'number', 'when',
        'shop', 'invoice', 'was', 'paid', 'twice', 'and', 'refund'][cityHash64(number, i) % 16 + 1],
        range({count})), ' ')
"""
CALL = """
    'v1' AS handler_version, 'p1' AS pipeline, 'chat' AS operation, 'anthropic' AS provider,
    multiIf(tier = 'reasoner', 'claude-opus-5-5', tier = 'worker', 'claude-haiku-5', 'rules') AS request_model,
    lower(hex(sipHash128(run, event_id, tier, handler, sample))) AS call_id,
    cityHash64(number, tier, sample) AS c,
    c % 10 = 0 OR (run != 'live' AND c % 2 = 0) AS cache_hit,
    if(run != 'live' AND c % 2 = 0, 'live', NULL) AS reused_from,
    multiIf(tier = 'listener', 0.0, tier = 'worker', 0.0008, 0.021) * (0.5 + c % 1000 / 1000) AS usd,
    multiIf(c % 97 = 0, NULL, cache_hit, toDecimal128(0, 12), toDecimal128(usd, 12)) AS cost_usd,
    if(cache_hit, toDecimal128(usd, 12), NULL) AS saved_usd,
    event_time + toIntervalMillisecond(c % 5000) AS started_at,
    c % 5000 / 1000 AS queue_seconds,
    multiIf(tier = 'listener', 0.002, tier = 'worker', 0.7, 6.0) * (0.2 + c % 1000 / 600) AS duration_seconds
"""
CALL_COLUMNS = (
    "run, event_time, event_id, trace_id, source_topic, source_partition, source_offset, data_subject, tier, handler,"
    " handler_version, pipeline, operation, provider, request_model, call_id, cache_hit, reused_from, cost_usd,"
    " saved_usd, started_at, queue_seconds, duration_seconds, status, refusal_class, raw_confidence, confidence,"
    " threshold, propensity, explored, decision, decision_reason, attempt, sample, error_type, input_tokens,"
    " output_tokens, system_prompt, prompt, response, priced_as, fingerprint"
)
# What the calls of each tier say: tier, handler, sample, which events they are about, and the rest.
PLAIN = """
    'answered' AS status, NULL AS refusal_class, NULL AS raw_confidence, NULL AS threshold, NULL AS propensity,
    false AS explored, '' AS decision_reason, NULL AS error_type
"""
CALLS = (
    ("listener", "'rules'", "0", "1", f"{PLAIN}, NULL AS confidence, 'found' AS decision"),
    ("listener", "'intents'", "0", "1", f"{PLAIN}, sureness AS confidence, 'found' AS decision"),
    (
        "worker",
        "worker",
        "0",
        "action = 'work'",
        """
        multiIf(sureness < 0.08, 'refused', sureness < 0.10, 'failed', 'answered') AS status,
        if(status = 'refused', ['policy', 'missing_information', 'out_of_scope'][c % 3 + 1], NULL) AS refusal_class,
        sureness AS raw_confidence, sureness AS confidence, 0.25 AS threshold,
        if(escalated, NULL, 0.02) AS propensity, drawn AS explored,
        if(escalated, 'escalated', 'accepted') AS decision,
        multiIf(status = 'refused', concat('refused: ', refusal_class), status = 'failed', 'failed: timeout',
            escalated, 'unsure: confidence under', 'confidence reaches') AS decision_reason,
        if(status = 'failed', 'timeout', NULL) AS error_type
        """,
    ),
    (
        "reasoner",
        "'think'",
        "0",
        "action = 'reason' OR (action = 'work' AND escalated) OR drawn",
        f"{PLAIN}, NULL AS confidence, if(escalated OR action = 'reason', 'accepted', 'explored') AS decision",
    ),
)


def words(count: int) -> str:
    """An expression for that many words."""
    return WORDS.replace("{count}", str(count))


def inserts() -> Iterator[str]:
    """The statements that fill the tables from `{first}` to `{last}`."""
    numbers = "FROM numbers({first:UInt64}, {count:UInt64})"
    for tier, handler, sample, where, said in CALLS:
        head = f"'{tier}' AS tier, toUInt16({sample}) AS sample, {EVENT}, {handler} AS handler, {CALL}, {said}"
        rest = f"""toUInt16(1) AS attempt, toUInt32(100 + c % 900) AS input_tokens, toUInt32(c % 300) AS output_tokens,
            {words(40)} AS system_prompt, {words(60)} AS prompt, {words(30)} AS response,
            request_model AS priced_as, lower(hex(sipHash128(h % 300000, tier))) AS fingerprint"""
        rows = f"SELECT {head}, {rest} {numbers}"
        yield f"INSERT INTO calls_rows ({CALL_COLUMNS}) SELECT {CALL_COLUMNS} FROM ({rows}) WHERE {where}"
    origin = "run, event_time, event_id, trace_id, source_topic, source_partition, source_offset, data_subject"
    said = "state, tier, handler, intent, answer, reasons, pipeline, settled_at"
    yield f"""INSERT INTO outcomes_rows ({origin}, {said}) SELECT {origin}, {said} FROM (SELECT {EVENT},
        transform(action, ['ignore', 'duplicate'], ['ignored', 'duplicate'], 'answered') AS state,
        multiIf(action IN ('ignore', 'duplicate'), 'listener', action = 'reason' OR escalated, 'reasoner', 'worker')
            AS tier,
        multiIf(tier = 'listener', 'intents', tier = 'worker', worker, 'think') AS handler,
        if(tier = 'listener', NULL, {words(30)}) AS answer, [] AS reasons, 'p1' AS pipeline,
        event_time + toIntervalSecond(h % 30) AS settled_at {numbers})"""
    said = "kind, text, findings, intents, confidence, action, handler, fingerprint, pipeline, decided_at"
    yield f"""INSERT INTO verdicts_rows ({origin}, {said}) SELECT {origin}, {said} FROM (SELECT {EVENT},
        'text' AS kind, {words(60)} AS text, [] AS findings, [intent] AS intents, sureness AS confidence,
        multiIf(action = 'work', worker, action = 'reason', 'think', '') AS handler,
        lower(hex(sipHash128(h % 300000))) AS fingerprint, 'p1' AS pipeline,
        event_time + toIntervalSecond(1) AS decided_at {numbers})"""
    yield f"""INSERT INTO labels_rows (run, event_id, aspect, source, label, labelled_at)
        SELECT 'live', event_id, 'answer', 'desk', if(c > 20, response, 'else'), event_time + toIntervalDay(1)
        FROM (SELECT {EVENT}, cityHash64(number, 'label') % 100 AS c, {words(30)} AS response {numbers})
        WHERE run = 'live' AND h % 40 = 0"""


def fill(config: ClickHouseConfig, events: int) -> None:
    """Write the audit, in portions as a sink would, one of DELIVERED_TWICE twice."""
    client = config.connect()
    size = events // PORTIONS
    step = DAYS * 86_400 * 1_000_000 * 4 // events
    try:
        for portion in range(PORTIONS):
            parameters = {"first": portion * size, "count": size, "step": step}
            again = parameters | {"count": size // DELIVERED_TWICE}
            for statement in inserts():
                for values in (parameters, again):
                    client.command(statement, parameters=values)
    finally:
        client.close()


@contextmanager
def filled(events: int, directory: Path) -> Iterator[ClickHouseConfig]:
    """An embedded ClickHouse with the audit in it; one that was filled before is taken as it is."""
    there = (directory / "clickhouse").is_dir()
    with Supervisor(directory / "logs") as supervisor:
        config = ClickHouseConfig(url=start_clickhouse(supervisor, directory))
        migrate(config)
        if not there:
            fill(config, events)
        yield config


def seconds_of(audit: Audit, query: NamedQuery, given: dict[str, Any], times: int) -> list[float]:
    """Return the seconds that each run of a query took."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        audit.named(query.name, **given)
        taken.append(time.perf_counter() - begun)
    return taken


def main() -> int:
    """Measure, print, and say by the exit code whether all are fast enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a directory to keep the audit in, for the next time")
    parser.add_argument("names", nargs="*", help="these queries alone")
    given = parser.parse_args()
    out = Console()
    with tempfile.TemporaryDirectory() as made, filled(given.events, given.keep or Path(made)) as config:
        audit = Audit(config)
        count = "SELECT (SELECT count() FROM calls) AS calls, (SELECT count() FROM calls_rows) AS rows"
        print(audit.query(count).records()[0])
        rows = []
        for query in library().values():
            if given.names and query.name not in given.names:
                continue
            parameters = {"event_id": "mail-77"} if "event_id" in query.parameters else {}
            try:
                taken = seconds_of(audit, query, parameters, given.times)
            except EscalonError as error:
                print(query.name, error)
                taken = [float("inf")]
            rows.append((query.name, statistics.median(taken), max(taken)))
        audit.close()
    out.print(table(["query", "median s", "slowest s"], rows))
    late = [name for name, median, _ in rows if median > LIMIT_SECONDS]
    print(f"over {LIMIT_SECONDS} s: {', '.join(late) or 'none'}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
