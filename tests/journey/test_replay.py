"""Past events through a candidate pipeline, on real servers, with the live topics untouched."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.topic_reader import TopicReader
from tests.harness.fakes.messages_server import Failure
from tests.harness.journey import PIPELINE, Journey, answer
from tests.harness.pictures import picture

pytestmark = pytest.mark.embedded

WORKER, REASONER = "claude-haiku-5-5", "claude-opus-5-5"
DAY = datetime(2026, 11, 1, tzinfo=UTC)
ROUTINE, UNSURE = 40, 6
TEXTS = {
    "ok": "ok",
    "open": "please think about everything",
    "lost": "please think of a hopeless case",
    "refused": "Where does my neighbour live?",
    "broken": "Is this nonsense?",
    **{f"unsure-{number}": f"Are you not sure about {number}?" for number in range(UNSURE)},
    **{f"routine-{number}": f"What does item {number // 2} cost?" for number in range(ROUTINE)},  # each asked twice
}
IMAGES = {"photo-1": 256, "photo-2": 128}
MODEL_TASKS = ROUTINE // 2 + UNSURE + 2
"""Different tasks of the worker that asks a model."""


def spread(number: int) -> datetime:
    """Times all over a day, in no order."""
    return DAY + timedelta(minutes=(number * 331) % 1440)


def tersely(body: Mapping[str, Any]) -> Any:
    """Return the models' answers; the worker, if asked to be brief, refuses even numbers that it was unsure of."""
    prompt = str(body["messages"][-1]["content"])
    if "Be brief." in json.dumps(body.get("system", "")) and "not sure about" in prompt:
        if int(prompt.partition("not sure about ")[2].partition("?")[0]) % 2 == 0:
            return {"refusal": {"class": "missing_information", "reason": "which one?"}}
        return {"answer": {"reply": "yes"}, "confidence": 0.9}
    return answer(body)


@dataclass(frozen=True)
class Replaying:
    """The journey's pipeline after a day of events, and a directory with a candidate."""

    journey: Journey
    directory: Path
    times: Mapping[str, datetime]

    def escalon(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """A command's JSON; of one that fails, what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "streams", *arguments, "--json"],
            env=dict(self.journey.running.environment),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if code == 0 else {"said": " ".join(done.stderr.split())}

    def replay(self, run: str, *arguments: str, pipeline: str = "pipeline.toml", code: int = 0) -> dict[str, Any]:
        """A replay of everything, unless the arguments say which."""
        named = ["--run", run, "--pipeline", str(self.directory / pipeline)]
        return self.escalon("replay", *named, *arguments, code=code)

    def asked(self) -> tuple[int, int]:
        """Return the number of calls to the worker's and to the reasoner's model so far."""
        return self.journey.claude.asked(WORKER), self.journey.claude.asked(REASONER)

    def outcomes(self, run: str) -> dict[str, tuple[Any, ...]]:
        """A run's outcomes by event, as far as they say what was decided."""
        rows = self.journey.query(
            "SELECT event_id, state, tier, handler, intent, answer, reasons, duplicate_of FROM outcomes "
            f"WHERE run = '{run}'"
        )
        return {row.pop("event_id"): tuple(map(str, row.values())) for row in rows}

    def topics(self) -> dict[str, str]:
        """A hash of every record of every topic, changelogs among them."""
        kafka = self.journey.running.kafka
        tail = TopicReader(kafka, sorted(describe_cluster(kafka).partitions.keys() - {"__consumer_offsets"}))
        lines: dict[str, list[str]] = {}
        for record in tail.to_end():
            lines.setdefault(record.topic, []).append(repr(record))
        tail.close()
        return {topic: hashlib.sha256("\n".join(sorted(of)).encode()).hexdigest() for topic, of in lines.items()}


@pytest.fixture(scope="module")
def here(journey: Journey, tmp_path_factory: pytest.TempPathFactory) -> Replaying:
    """A day of events that have ended, all of them in the audit."""
    directory = tmp_path_factory.mktemp("candidates")
    shutil.copytree(PIPELINE, directory, dirs_exist_ok=True)
    (directory / "prompts").mkdir()
    journey.claude.server.answer = tersely
    prompt = "{% block system %}Be brief.{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}"
    (directory / "prompts" / "brief.j2").write_text(prompt)
    brief = (
        (directory / "pipeline.toml")
        .read_text()
        .replace('task = "answer"', 'task = "answer"\nprompt = "prompts/brief.j2"')
    )
    (directory / "brief.toml").write_text(brief)
    names = [*TEXTS, *IMAGES]
    times = {name: spread(number) for number, name in enumerate(names)}
    with journey.publisher() as publisher:
        for name, text in TEXTS.items():
            publisher.publish(text, id=name, time=times[name])
        publisher.flush()
        for name, size in IMAGES.items():
            publisher.publish(id=name, image=picture(size), time=times[name])
            publisher.flush()
            journey.outcomes({name})
    journey.outcomes(set(names))
    journey.query("SELECT count() AS n FROM outcomes", until=lambda rows: rows[0]["n"] == len(names))
    return Replaying(journey, directory, times)


def test_an_unchanged_pipeline_asks_nothing_and_decides_everything_as_before(here: Replaying) -> None:
    before, topics = here.asked(), here.topics()
    done = here.replay("unchanged")
    assert (done["state"], done["events"], done["paid_calls"]) == ("done", len(TEXTS) + len(IMAGES), 0)
    assert here.asked() == before
    assert here.outcomes("unchanged") == here.outcomes("live")
    assert here.topics() == topics


def test_what_was_reused_says_from_where_and_what_it_would_have_cost(here: Replaying) -> None:
    (row,) = here.journey.query(
        "SELECT sumIf(cost_usd, run = 'live') AS paid, sumIf(cost_usd, run = 'unchanged') AS paid_again, "
        "sumIf(saved_usd, run = 'unchanged' AND reused_from = 'live') AS would_have_paid, "
        "countIf(run = 'unchanged' AND cache_hit AND reused_from IS NULL AND operation = 'chat') AS hits, "
        "countIf(run = 'live' AND cache_hit AND operation = 'chat') AS live_hits FROM calls"
    )
    assert row["paid"] == row["would_have_paid"] > 0
    assert row["paid_again"] == 0
    assert row["hits"] == row["live_hits"] == ROUTINE // 2


def test_a_changed_prompt_asks_its_worker_alone_and_the_reasoner_where_its_task_changed(here: Replaying) -> None:
    (worker, reasoner), topics = here.asked(), here.topics()
    done = here.replay("brief", pipeline="brief.toml")
    # It now refuses every other task it was unsure of, and answers the others itself.
    assert here.asked() == (worker + MODEL_TASKS, reasoner + UNSURE // 2)
    assert done["paid_calls"] == MODEL_TASKS + UNSURE // 2
    live, brief = here.outcomes("live"), here.outcomes("brief")
    flipped = {name for name in live if live[name][:5] != brief[name][:5]}
    assert flipped == {f"unsure-{number}" for number in range(1, UNSURE, 2)}
    assert here.topics() == topics


def test_compare_names_what_flipped_with_both_answers(here: Replaying) -> None:
    found = here.escalon("compare", "live", "brief", "--pipeline", str(here.directory / "brief.toml"))
    odd = {f"unsure-{number}" for number in range(1, UNSURE, 2)}
    by_answer = {one["event_id"]: one for one in found["flips"] if "answer" in one["changes"]}
    assert set(by_answer) == odd
    assert {(one["a"]["tier"], one["b"]["tier"]) for one in by_answer.values()} == {("reasoner", "worker")}
    assert all(one["b"]["answer"] == {"reply": "yes"} for one in by_answer.values())
    same = here.escalon("compare", "live", "unchanged", "--pipeline", str(here.directory / "pipeline.toml"))
    assert (same["overlap"]["both"], same["flipped"], same["flips"]) == (len(TEXTS) + len(IMAGES), 0, [])


def test_the_same_again_has_nothing_left_to_do(here: Replaying) -> None:
    before = here.asked()
    again = here.replay("brief", pipeline="brief.toml")
    assert (again["events"], again["paid_calls"]) == (len(TEXTS) + len(IMAGES), MODEL_TASKS + UNSURE // 2)
    assert here.asked() == before


def test_another_pipeline_under_the_same_name_is_refused(here: Replaying) -> None:
    assert "there is a run 'brief' with another pipeline" in here.replay("brief", code=2)["said"]
    assert "cannot be the name of a replay" in here.replay("live", code=2)["said"]


def test_a_rehearsal_says_what_would_be_asked_and_asks_nothing(here: Replaying) -> None:
    before = here.asked()
    found = here.replay("rehearsed", "--dry-run", pipeline="brief.toml")
    assert found["asked"] == {"worker.answer": MODEL_TASKS}
    assert found["unchanged"] == len(TEXTS) + len(IMAGES) - ROUTINE - UNSURE - 2
    assert float(found["usd"]) > 0
    assert here.asked() == before
    assert here.outcomes("rehearsed") == {}


def test_it_stops_at_its_cost_limit_and_goes_on_without_paying_twice(here: Replaying) -> None:
    candidate = (here.directory / "brief.toml").read_text().replace("prompts/brief.j2", "prompts/briefer.j2")
    (here.directory / "briefer.toml").write_text(
        candidate.replace('timeout = "60s"', 'timeout = "60s"\nconcurrency = 1')
    )
    prompt = (here.directory / "prompts" / "brief.j2").read_text().replace("Be brief.", "Be brief. Be very brief.")
    (here.directory / "prompts" / "briefer.j2").write_text(prompt)
    (one,) = here.journey.query(
        "SELECT min(cost_usd) AS usd FROM calls WHERE run = 'brief' AND handler = 'answer' AND NOT cache_hit"
    )
    (worker, _), limit = here.asked(), one["usd"] * 5
    stopped = here.replay("limited", "--max-cost", f"{limit:f}", pipeline="briefer.toml", code=2)
    assert "The limit of" in stopped["said"]
    paid = here.asked()[0] - worker
    assert 0 < paid < MODEL_TASKS
    done = here.replay("limited", "--max-cost", "1000", pipeline="briefer.toml")
    assert (done["state"], done["events"]) == ("done", len(TEXTS) + len(IMAGES))
    assert here.asked()[0] - worker == MODEL_TASKS
    assert here.outcomes("limited") == here.outcomes("brief")
    (spent,) = here.journey.query("SELECT sum(cost_usd) AS usd FROM calls WHERE run = 'limited'")
    (run,) = here.journey.query("SELECT state, events, paid_calls, cost_usd FROM runs WHERE run = 'limited'")
    assert run["cost_usd"] == spent["usd"]
    assert run["state"] == "done"


def test_an_hour_of_a_day_is_exactly_the_events_of_that_hour(here: Replaying) -> None:
    since, until = DAY + timedelta(hours=5), DAY + timedelta(hours=6)
    here.replay("hour", "--since", since.isoformat(), "--until", until.isoformat())
    expected = {name for name, time in here.times.items() if since <= time < until}
    assert 0 < len(expected) < len(here.times) / 4
    assert set(here.outcomes("hour")) == expected


def test_events_can_be_named_by_id_by_offset_and_by_what_the_audit_knows(here: Replaying) -> None:
    here.replay("ids", "--event", "open", "--event", "ok")
    assert set(here.outcomes("ids")) == {"open", "ok"}
    places = here.journey.query(
        "SELECT event_id FROM verdicts WHERE source_partition = 1 AND source_offset IN (1, 2) AND run = 'live'"
    )
    assert places
    here.replay("offsets", "--offsets", "1:1-3")
    assert set(here.outcomes("offsets")) == {row["event_id"] for row in places}
    here.replay("condition", "--where", "tier = 'reasoner' AND state = 'failed' -- for good")
    assert set(here.outcomes("condition")) == {"lost"}
    assert "It may speak of" in here.replay("nonsense", "--where", "nonsense = 1", code=2)["said"]
    here.replay("earliest", "--limit", "3")
    assert set(here.outcomes("earliest")) == set(sorted(here.times, key=lambda name: here.times[name])[:3])


def test_an_unreachable_provider_is_audited_as_live_and_the_event_has_its_outcome(here: Replaying) -> None:
    here.journey.claude.server.script(*[Failure(400)] * 1)
    text = (here.directory / "brief.toml").read_text().replace("prompts/brief.j2", "prompts/briefest.j2")
    (here.directory / "briefest.toml").write_text(text)
    prompt = (here.directory / "prompts" / "brief.j2").read_text().replace("Be brief.", "Be brief, please.")
    (here.directory / "prompts" / "briefest.j2").write_text(prompt)
    here.replay("failing", "--event", "routine-0", pipeline="briefest.toml")
    (found,) = here.outcomes("failing").values()
    assert (found[0], found[1]) == ("answered", "reasoner")
