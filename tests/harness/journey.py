"""A running pipeline with a fake Messages API, and what tests read from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.codec_factory import codec_for
from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Publisher
from streams.app.settings import read_settings
from streams.audit.query import Audit
from streams.core.messages import Call, DeadLetter, Outcome
from streams.core.topics import TOPICS
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline
from tests.harness.fakes.messages_outcomes import Failure
from tests.harness.fakes.messages_thread import MessagesThread

WAIT_SECONDS = 60.0
LOG_LINES = 40
OUTCOME_SECONDS = 180.0
"""Ends a test whose event is lost. Longer than two tries of a handler take with the default timeout of 60 s."""

PIPELINE = Path(__file__).parents[1] / "journey" / "pipeline"


def answer(body: Mapping[str, Any]) -> Mapping[str, Any] | str | Failure:
    """Return the fake model's answer: the event's own words decide."""
    prompt = str(body["messages"][-1]["content"])
    if body["model"] == "claude-opus-5-5":
        if "hopeless" in prompt:
            return {"refusal": {"class": "other", "reason": "nobody can help"}}
        return {"answer": {"thoughts": "all parts considered", "reply": "settled by the reasoner"}}
    if "my neighbour" in prompt:
        return {"refusal": {"class": "policy", "reason": "about another customer"}}
    if "not sure" in prompt:
        return {"answer": {"reply": "perhaps"}, "confidence": 0.3}
    if "nonsense" in prompt:
        return "this is no JSON"
    return {"answer": {"reply": "from nine to five"}, "confidence": 0.95}


Say = Callable[[Mapping[str, Any]], Any]
"""Gives the answer or the failure for the body of a request."""


class FakeClaude(MessagesThread):
    """The fake Messages API with the answers of above."""

    def __init__(self) -> None:
        super().__init__(answer)

    def asked(self, model: str) -> int:
        """Return the number of calls to a model."""
        return sum(request.body["model"] == model for request in self.server.requests)


@dataclass(frozen=True)
class Journey:
    """A running pipeline and its fake model."""

    running: RunningPipeline
    claude: FakeClaude

    def publisher(self) -> Publisher:
        """A client of the broker."""
        return Publisher(self.running.kafka, blobs=self.running.settings.blobs)

    def outcomes(self, expected: set[str]) -> dict[str, list[Outcome]]:
        """The outcomes on the raw topic by event, once all the expected ones are there."""
        found: dict[str, list[Outcome]] = self._read("outcomes", Outcome, lambda one: one.origin.event_id, expected)
        return found

    def dead_letters(self, expected: set[str]) -> dict[str, list[DeadLetter]]:
        """The dead letters on the raw topic by event id."""
        found: dict[str, list[DeadLetter]] = self._read("dead-letters", DeadLetter, lambda one: one.event_id, expected)
        return found

    def _read(self, topic: str, kind: Any, identity: Any, expected: set[str]) -> Any:
        tail, coding = TopicReader(self.running.kafka, [topic]), codec_for(self.running.settings.schema_registry)
        found: dict[str, list[Any]] = {}
        deadline = time.monotonic() + OUTCOME_SECONDS
        try:
            while not expected <= found.keys() and time.monotonic() < deadline:
                self.running.supervisor.check()
                for record in tail.batch():
                    message = coding.decode(kind, record.value or b"")
                    found.setdefault(identity(message), []).append(message)
        finally:
            tail.close()
        missing = sorted(expected - found.keys())[:5]
        assert not missing, f"{missing} of {len(expected)} never came on {topic}; {self._trail(missing)}{self._logs()}"
        return found

    def _trail(self, event_ids: list[str]) -> str:
        """The topics that have messages about some events, and the errors of the calls made for them."""
        coding, found = codec_for(self.running.settings.schema_registry), []
        tail = TopicReader(self.running.kafka, [spec.name for spec in TOPICS])
        try:
            for record in tail.to_end():
                if any(one.encode() in (record.key or b"") + (record.value or b"") for one in event_ids):
                    call = coding.decode(Call, record.value or b"") if record.topic == "calls" else None
                    found.append(f"{record.topic} ({call.handler}: {call.error_type})" if call else record.topic)
        finally:
            tail.close()
        return f"messages about them are on: {', '.join(found) or 'no topic'}"

    def _logs(self) -> str:
        """The last lines of the log of each process, servers included."""
        logs = sorted((self.running.settings.data_dir / "logs").glob("*.log"))
        return "".join("\n".join(["", f"{log}:", *log.read_text().splitlines()[-LOG_LINES:]]) for log in logs)

    def query(self, sql: str, until: Any = None) -> list[dict[str, Any]]:
        """Rows of the audit, once `until` says of them that the sink is done."""
        audit = Audit(self.running.clickhouse)
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            while True:
                rows = audit.query(sql).records()
                if until is None or until(rows) or time.monotonic() > deadline:
                    return rows
                time.sleep(0.2)
        finally:
            audit.close()


@contextmanager
def running_journey(
    file: Path, data: Path, home: Path | None = None, say: Say = answer, environment: Mapping[str, str] | None = None
) -> Iterator[Journey]:
    """Run the pipeline of a file with a fake Messages API, on the Apache Kafka in `home` or in memory."""
    with FakeClaude() as claude, pytest.MonkeyPatch.context() as patched:
        claude.server.answer = say
        usual = {
            "ANTHROPIC_API_KEY": "no-key",
            "ANTHROPIC_BASE_URL": claude.server.url,
            "ESCALON_DATA": str(data),
            "ESCALON_CACHE": str(data / "cache"),
            "KAFKA_HOME": str(home or ""),
        }
        for name in ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY"):
            patched.delenv(name, raising=False)
        for name, value in (usual | dict(environment or {})).items():
            patched.setenv(name, value)
        with running_pipeline(read_settings(), load_pipeline(file, ANY_PYTHON)) as running:
            yield Journey(running, claude)
