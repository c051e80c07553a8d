"""Fill an audit with 1,000,000 calls: `python -m bench.audit_fill DIRECTORY`.

400,000 events of 30 days until now, as a shop's desk would have them: half of them live, a quarter each in two replays
of those, one with a stricter threshold and one with a cheaper reasoner. ClickHouse makes the rows itself, in about two
minutes. The directory is then one for ESCALON_DATA, and holds the pipeline that the traffic has passed through.
"""

from __future__ import annotations

import argparse
import re
import shutil
import string
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from streams.adapters.clickhouse import ClickHouseConfig, migrate
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor
from streams.pipeline.load import Pipeline, load_pipeline

EVENTS, DAYS, PORTIONS = 400_000, 30, 5
DELIVERED_TWICE = 500
"""Of so many events the rows of one are written a second time."""
PIPELINE: Final = Path(__file__).with_suffix(".toml")
SECTIONS: Final[Mapping[str, str]] = dict(
    re.findall(r"-- \[(\w+)\]\n(.*?)(?=\n-- \[|\Z)", PIPELINE.with_suffix(".sql").read_text("utf-8"), re.S)
)
ORIGIN = "run, event_time, event_id, trace_id, source_topic, source_partition, source_offset, data_subject"
COLUMNS: Final[Mapping[str, str]] = {
    "calls": f"{ORIGIN}, tier, handler, handler_version, pipeline, operation, provider, request_model, call_id,"
    " cache_hit, reused_from, cost_usd, saved_usd, started_at, queue_seconds, duration_seconds, status, refusal_class,"
    " refusal_reason, sources, raw_confidence, confidence, threshold, propensity, explored, decision, decision_reason,"
    " attempt, sample, error_type, error, finish_reason, input_tokens, output_tokens, system_prompt, prompt, response,"
    " priced_as, fingerprint",
    "outcomes": f"{ORIGIN}, state, tier, handler, intent, answer, reasons, duplicate_of, call_id, pipeline, settled_at",
    "verdicts": f"{ORIGIN}, kind, text, findings, intents, confidence, action, handler, fingerprint, pipeline,"
    " decided_at",
    "labels": "run, event_id, aspect, source, label, labelled_at",
    "dead_letters": "run, event_time, dead_letter_id, event_id, topic, partition, offset, key, headers, payload,"
    " payload_size, payload_sha256, reason, detail, error_class",
}
PLAIN: Final[Mapping[str, str]] = {
    "provider": "'anthropic'", "request_model": "'claude-haiku-4-5'", "status": "'answered'", "refusal_class": "NULL",
    "refusal_reason": "NULL", "sources": "map()", "raw_confidence": "NULL", "confidence": "NULL", "threshold": "NULL",
    "propensity": "NULL", "explored": "false", "decision": "'found'", "decision_reason": "''", "error_type": "NULL",
    "error": "NULL", "finish_reason": "NULL",
}  # fmt: skip
REPLY: Final = """concat('{{"answer":', said[2 - {tier}_right], '}}')"""
LISTENER: Final = {"tier": "'listener'"}
RULES: Final = LISTENER | {"provider": "'escalon'", "request_model": "'rules'"}
# The calls of each handler: the events that they are about, and what they say.
CALLS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    ("1", RULES | {"handler": "'obvious'", "response": "if(intent = 'greeting', intent, NULL)"}),
    (
        "action != 'duplicate'",
        LISTENER
        | {
            "handler": "'intents'",
            "response": "if(intent IN ('greeting', 'unsure'), NULL, intent)",
            "confidence": "certainty",
        },
    ),
    (
        "action = 'duplicate'",
        RULES | {"handler": "'seen'", "request_model": "'phash'", "response": "'duplicate'"},
    ),
    (
        "action = 'work'",
        {
            "tier": "'worker'",
            "handler": "worker",
            "status": "worked",
            "refusal_class": "if(status = 'refused', class, NULL)",
            "refusal_reason": "if(status = 'refused', lacks, NULL)",
            "raw_confidence": "if(status = 'answered' AND bar IS NOT NULL, sureness, NULL)",
            "confidence": "raw_confidence",
            "sources": "if(isNull(raw_confidence), map(), map('verbalized', assumeNotNull(raw_confidence)))",
            "threshold": "bar",
            "propensity": "if(escalated OR worker != 'answer', NULL, 0.02)",
            "explored": "drawn",
            "decision": "if(escalated, 'escalated', 'accepted')",
            "decision_reason": "multiIf(escalated, why, isNull(bar), 'no threshold',"
            " concat('confidence ', toString(round(sureness, 3)), ' reaches ', toString(bar)))",
            "error_type": "multiIf(status = 'failed', 'timeout', status = 'invalid', 'schema', NULL)",
            "error": "multiIf(status = 'failed', 'no reply in 60 s', status = 'invalid', 'a field is missing', NULL)",
            "response": f"if(status = 'answered', {REPLY.format(tier='worker')}, NULL)",
            "finish_reason": "if(status = 'answered', 'end_turn', NULL)",
        },
    ),
    (
        "action = 'reason' OR escalated OR drawn",
        {
            "tier": "'reasoner'",
            "handler": "reasoner",
            "request_model": "if(run = 'cheaper', 'claude-sonnet-5-5', 'claude-opus-5-5')",
            "status": "if(broken, 'failed', 'answered')",
            "decision": "multiIf(broken, 'failed', drawn, 'explored', 'accepted')",
            "decision_reason": "if(broken, 'failed: overloaded: the provider is overloaded', '')",
            "error_type": "if(broken, 'overloaded', NULL)",
            "error": "if(broken, 'the provider is overloaded', NULL)",
            "response": f"if(broken, NULL, {REPLY.format(tier='reasoner')})",
            "finish_reason": "if(broken, NULL, 'end_turn')",
        },
    ),
)


def inserts(versions: Mapping[str, str]) -> Iterator[str]:
    """Yield the statements that write the events from `{first}` on. `versions` are those of the handlers, by name."""
    names, values = list(versions), list(versions.values())
    version = {"handler_version": f"transform(handler, {names}, {values}, '')"}
    for where, said in CALLS:
        of_tier = ", ".join(f"{value} AS {name}" for name, value in {**PLAIN, **said, **version}.items())
        yield _filled("calls", of_tier=of_tier, where=where)
    for table in ("outcomes", "verdicts", "labels", "dead_letters"):
        yield _filled(table)


def _filled(table: str, **parts: str) -> str:
    shared = {name: SECTIONS[name].strip() for name in ("event", "call")}
    return string.Template(SECTIONS[table]).substitute(shared | {"columns": COLUMNS[table]} | parts)


def fill(config: ClickHouseConfig, events: int, now: datetime) -> None:
    """Write the audit in portions, and the rows of its first events twice. The last event is a minute old."""
    pipeline = load_pipeline(PIPELINE)
    start = now - timedelta(days=DAYS, minutes=1)
    values = {
        "pipeline": pipeline.hash,
        "start": int(start.timestamp() * 1_000_000),
        "step": DAYS * 86_400 * 1_000_000 * 4 // events,
    }
    client = config.connect()
    size = events // PORTIONS
    try:
        for first, count in (*((portion * size, size) for portion in range(PORTIONS)), (0, events // DELIVERED_TWICE)):
            for statement in inserts(_versions(pipeline)):
                client.command(statement, parameters=values | {"first": first, "count": count})
        client.command(SECTIONS["runs"], parameters=values)
        client.command("SYSTEM REFRESH VIEW calls_hourly_rows")
    finally:
        client.close()


def _versions(pipeline: Pipeline) -> dict[str, str]:
    tiers = (pipeline.listeners, pipeline.workers, pipeline.reasoners)
    return {name: handler.version for handlers in tiers for name, handler in handlers.items()}


@contextmanager
def filled(events: int, directory: Path) -> Iterator[ClickHouseConfig]:
    """An embedded ClickHouse with the audit in it; one that was filled before is taken as it is."""
    there = (directory / "clickhouse").is_dir()
    with Supervisor(directory / "logs") as supervisor:
        config = ClickHouseConfig(url=start_clickhouse(supervisor, directory))
        migrate(config)
        if not there:
            fill(config, events, datetime.now(UTC))
        yield config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--events", type=int, default=EVENTS)
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(PIPELINE, given.directory / "pipeline.toml")
    begun = time.perf_counter()
    with filled(given.events, given.directory) as config:
        client = config.connect()
        print(f"{client.command('SELECT count() FROM calls'):,} calls in {time.perf_counter() - begun:.0f} s")
        client.close()


if __name__ == "__main__":
    main()
