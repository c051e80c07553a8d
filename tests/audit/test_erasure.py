"""The events, entries and blobs that an erasure finds, and its record in the audit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.adapters.blobs import BlobStore
from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.clickhouse_erasure import BLANKS, blank, sweep
from streams.adapters.codec import Codec
from streams.adapters.kafka import KafkaConfig
from streams.audit.erasure import Eraser
from streams.audit.erasure_tables import TableEntry, TaskKey, TierTables
from streams.core.errors import ServiceError
from streams.core.fingerprint import data_subject, digest
from streams.core.messages import DeadLetter, Event, Header, Judgement, Outcome
from streams.core.tables import SETTLED
from streams.runtime.tables import TableSettled
from streams.stages.settle import Settled
from tests.builders import START, call, event, label, outcome, verdict
from tests.harness.audit import write
from tests.harness.handled_table import handled, open_table

PHOTO, SHARED = "a" * 64, "b" * 64


def about(event_id: str, name: str | None, **more: Any) -> Event:
    of = event(event_id, **more)
    return dataclasses.replace(
        of, origin=dataclasses.replace(of.origin, data_subject=data_subject(name) if name else None)
    )


class FakeTables:
    """Tables with one entry for any task; remembers the entries to erase."""

    def __init__(self) -> None:
        self.asked: list[TaskKey] = []
        self.erased: list[TableEntry] = []

    def find(self, asked: list[TaskKey], event_ids: set[str]) -> list[TableEntry]:
        """One entry."""
        self.asked = list(asked)
        return [TableEntry("work", "escalon-work-verdicts-answers-changelog", 0, b"k", b"")] if event_ids else []

    def erase(self, entries: list[TableEntry]) -> None:
        """Remember."""
        self.erased = list(entries)


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    for run in ("live", "rerun"):
        mine = about("anna-1", "anna", run=run)
        write(config, verdict(mine), call(mine, prompt="hello", fingerprint=f"print-{run}"), outcome(mine))
    write(config, verdict(about("anna-2", "anna", image=PHOTO)), verdict(about("anna-3", "anna", image=SHARED)))
    write(config, verdict(about("bob-1", "bob", image=SHARED)), verdict(about("nobody-1", None)))
    return config


@pytest.fixture
def eraser(config: ClickHouseConfig, tmp_path: Path) -> Eraser:
    return Eraser(clickhouse=config, tables=cast(TierTables, FakeTables()), blobs=BlobStore(f"file://{tmp_path}"))


@pytest.mark.embedded
def test_a_person_s_events_are_found_in_all_runs_with_their_tasks_and_own_images(eraser: Eraser) -> None:
    ids = eraser.events_of(" anna ")
    assert ids == ("anna-1", "anna-2", "anna-3")
    found = eraser.find(ids, "subject")
    assert (found.rows["calls_rows"], found.bodies["verdicts_rows"], found.blobs) == (2, 4, (PHOTO,))
    asked = cast(FakeTables, eraser.tables).asked
    assert {(one.run, one.fingerprint) for one in asked if one.event_id == "anna-1"} >= {
        ("live", "print-live"),
        ("rerun", "print-rerun"),
    }
    assert (found.entries_in("answers"), found.tiers) == (1, ["work"])


@pytest.mark.embedded
def test_an_empty_or_unknown_name_finds_no_events(eraser: Eraser) -> None:
    assert eraser.events_of("carl") == ()
    assert eraser.events_of("") == ()


@pytest.mark.embedded
def test_an_erasure_that_breaks_off_finds_the_rest_when_it_is_run_again(eraser: Eraser) -> None:
    class Broken(FakeTables):
        def erase(self, entries: list[TableEntry]) -> None:  # noqa: ARG002
            raise ServiceError("Kafka is away.", "Try again.")

    broken = dataclasses.replace(eraser, tables=cast(TierTables, Broken()))
    with pytest.raises(ServiceError, match="away"):
        broken.erase(broken.find(eraser.events_of("anna"), "subject"), "op@host", START)
    found = eraser.find(eraser.events_of("anna"), "subject")
    assert len(found.event_ids) == 3
    erasure_id = eraser.erase(found, "op@host", START)
    assert eraser.events_of("anna") == ()
    assert eraser.find(found.event_ids, "events").bodies == dict.fromkeys(found.bodies, 0)
    assert eraser.find(found.event_ids, "events").rows == found.rows
    client = eraser.clickhouse.connect()
    row = client.query("SELECT operator, selected_by, events, calls, blobs FROM erasures WHERE erasure_id = {i:String}",
                       parameters={"i": erasure_id}).result_rows  # fmt: skip
    client.close()
    assert row == [("op@host", "subject", 3, 2, 1)]


@pytest.mark.embedded
@pytest.mark.parametrize("at", list(BLANKS))
def test_wherever_it_breaks_off_the_person_s_name_finds_the_rest(
    eraser: Eraser, config: ClickHouseConfig, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    name, mine = f"gina {at}", about(f"gina-{at}", f"gina {at}")
    judged = Judgement(event_id=mine.origin.event_id, call_id="c", judge="j", question="q", verdict="yes",
                       comment="Gina lives there", judged_at=START)  # fmt: skip
    write(config, verdict(mine), call(mine, prompt="hello"), outcome(mine), label(mine, "Gina"), judged)

    def breaks(client: Any, table: str, event_ids: Any) -> None:
        if table == at:
            raise ServiceError("ClickHouse is away.")
        blank(client, table, event_ids)

    found = eraser.find(eraser.events_of(name), "subject")
    with monkeypatch.context() as patched:
        patched.setattr("streams.audit.erasure.blank", breaks)
        with pytest.raises(ServiceError):
            eraser.erase(found, "op@host", START)
    assert eraser.events_of(name) == (mine.origin.event_id,)
    eraser.erase(eraser.find(eraser.events_of(name), "subject"), "op@host", START)
    assert set(eraser.find((mine.origin.event_id,), "events").bodies.values()) == {0}
    assert eraser.events_of(name) == ()


@pytest.mark.embedded
def test_a_judge_s_verdict_in_one_word_stays_and_a_longer_one_is_erased(
    eraser: Eraser, config: ClickHouseConfig
) -> None:
    mine = about("hugo-1", "hugo")
    for judge, said in (("one", "yes"), ("two", "Hugo is wrong")):
        write(
            config, Judgement(event_id="hugo-1", call_id="c", judge=judge, question="q", verdict=said, judged_at=START)
        )
    write(config, verdict(mine))
    eraser.erase(eraser.find(("hugo-1",), "events"), "op@host", START)
    client = eraser.clickhouse.connect()
    rows = client.query("SELECT judge, verdict FROM judgements WHERE event_id = 'hugo-1' ORDER BY judge").result_rows
    client.close()
    assert rows == [("one", "yes"), ("two", "")]


def letter(event_id: str, payload: bytes, **more: Any) -> DeadLetter:
    return DeadLetter(
        dead_letter_id=event_id, run="live", topic="events", partition=0, offset=0, payload=payload,
        payload_size=len(payload), payload_sha256="", reason="r", detail="", error_class="e", event_id=event_id,
        event_time=START, **more,
    )  # fmt: skip


@pytest.mark.embedded
def test_dead_letters_are_found_by_name_with_outer_space_and_in_what_a_cut_one_keeps(
    eraser: Eraser, config: ClickHouseConfig
) -> None:
    write(
        config,
        letter("ida-1", b'{"data_subject": "ida ", "text": "x"}'),
        letter("ida-2", b"?", headers=(Header(key="escalon-data-subject", value=b"  ida "),)),
        letter("ida-3", b'{"data_subject" : " \\u0069da", "text": "cut of'),
        letter("other-1", b'{"data": {"data_subject": "ida"}}'),
        letter("other-2", b'{"data_subject": "ida b", "text": "cut of'),
        letter("other-3", b'{"text": "nobody"}'),
        letter("number-1", b'{"data_subject": 77, "text": "cut of'),
    )
    assert eraser.events_of("ida") == ("ida-1", "ida-2", "ida-3")
    assert eraser.events_of("77") == ("number-1",)
    assert eraser.events_of(" ") == ()


@pytest.mark.embedded
def test_the_image_of_a_dead_letter_without_a_verdict_goes_and_is_swept_when_it_comes_back(
    eraser: Eraser, config: ClickHouseConfig
) -> None:
    own, whole = eraser.blobs.put(b"photo of kim"), eraser.blobs.put(b"large original")
    sent = letter("kim-1", f'{{"image": "{own}", "also": "{SHARED}"}}'.encode(), reference=whole)
    write(config, sent, verdict(about("leo-1", "leo", image=SHARED)))
    found = eraser.find(("kim-1",), "events")
    assert set(found.blobs) == {own, whole}
    eraser.erase(found, "op@host", START)
    assert eraser.blobs.put(b"large original") == whole
    write(config, dataclasses.replace(sent, offset=1, dead_letter_id="again"))
    gone: list[str] = []
    client = config.connect()
    assert sweep(client, gone.append) == {"dead_letters_rows": 1}
    client.close()
    assert set(gone) == {own, whole}


# ---- The tiers' tables ----


def record(topic: str, key: bytes, value: bytes | None, partition: int = 0) -> Any:
    return SimpleNamespace(topic=topic, partition=partition, key=key, value=value)


def tables(*records: Any) -> TierTables:
    return TierTables(
        kafka=KafkaConfig(servers="none:1"),
        prefix="",
        codec=Codec(),
        read_changelogs=lambda _, topics: (one for one in records if one.topic in topics),
    )


WORK = "escalon-work-verdicts-answers-changelog"
ASKED = TaskKey("live", "e1", "print")


def test_answers_are_found_by_their_task_and_by_their_event_in_their_partitions() -> None:
    own = digest("print", "live", "e1").encode()
    some = tables(record(WORK, b"print", b"x", 3), record(WORK, own, b"y", 1), record(WORK, b"other", b"z"))
    found = some.find([ASKED], {"e1"})
    assert [(one.tier, one.partition, one.key, one.value) for one in found] == [
        ("work", 3, b"print", b""),
        ("work", 1, own, b""),
    ]


def test_what_was_deleted_already_is_not_found() -> None:
    assert tables(record(WORK, b"print", b"x"), record(WORK, b"print", None)).find([ASKED], {"e1"}) == []


def test_a_settled_event_stays_settled_without_its_answer(tmp_path: Path) -> None:
    table = open_table(tmp_path)
    written = dataclasses.replace(outcome(about("e1", "anna")), answer="secret", reasons=("refused: secret",))
    topic = SETTLED.changelog("")
    with handled():
        TableSettled(table).put("live", "e1", Settled(2, 9, Codec().encode(written)))
        (entry,) = tables(*(record(topic, key, value) for key, value in table.items())).find([], {"e1"})
        table[entry.key] = entry.value
        settled = TableSettled(table).get("live", "e1")
    assert settled is not None
    left = Codec().decode(Outcome, settled.outcome)
    assert (settled.partition, settled.offset, left.state) == (2, 9, "answered")
    assert (left.answer, left.reasons, left.origin.data_subject) == (None, (), None)
    again = tables(*(record(topic, key, value) for key, value in table.items()))
    assert again.find([], {"e1"}) == []
