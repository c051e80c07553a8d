"""The store of a replay on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.codec import Codec
from streams.core.errors import ConfigError
from streams.core.messages import Attempt, Call, Origin, StoredAnswer
from streams.models.listeners.seen_image import SeenImage
from streams.replay.store import ReplayStore
from tests.builders import START, origin

CODEC = Codec()


def stored(answer: str, of: Origin, fingerprint: str = "task") -> StoredAnswer:
    attempt = Attempt(tier="worker", handler="answer", status="answered", answer=answer, call_id="c")
    call = Call(
        origin=of, call_id="c", tier="worker", handler="answer", handler_version="v", pipeline="p", operation="chat",
        provider="x", request_model="m", started_at=START, status="answered", decision="accepted",
        fingerprint=fingerprint,
    )  # fmt: skip
    return StoredAnswer(attempt=attempt, calls=(call,), stored_at=START)


def entry(key: str, answer: str, of: Origin, fingerprint: str = "task") -> tuple[bytes, bytes]:
    return key.encode(), CODEC.encode(stored(answer, of, fingerprint))


def answer_of(found: StoredAnswer | None) -> str | None:
    return found.attempt.answer if found else None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplayStore]:
    with ReplayStore(tmp_path / "run", CODEC) as opened:
        yield opened


def test_each_event_finds_its_own_answer_and_others_the_nearest_before_them(store: ReplayStore) -> None:
    store.take_over([entry("key", "1", origin("a", hour=1)), entry("key", "2", origin("b", hour=3))], {})
    store.take_over([entry("another", "3", origin("c", hour=2), "another task")], {})
    found = {hours: answer_of(store.find("task", origin("x", hour=hours))) for hours in (0, 1.5, 3, 9)}
    assert found == {0: "1", 1.5: "1", 3: "2", 9: "2"}
    assert answer_of(store.find("task", origin("a", hour=1))) == "1", "though a later answer stands under its key"
    assert store.find("no task", origin("a", hour=1)) is None
    assert store.find("tas", origin("a", hour=1)) is None
    assert store.get("task") is None, "what the live run was answered is not this run's own"


def test_a_deleted_entry_and_one_that_cannot_be_read_are_not_found(store: ReplayStore) -> None:
    store.take_over([entry("a", "1", origin("a")), entry("a", "2", origin("b", hour=1)), (b"b", b"nonsense")], {})
    store.take_over([entry("ab", "3", origin("c", hour=2), "other")], {})
    store.take_over([(b"a", None), (b"b", None)], {})
    assert store.find("task", origin("a")) is None
    assert answer_of(store.find("other", origin("c", hour=2))) == "3"


def image(number: int) -> SeenImage:
    return SeenImage(
        event_id=f"image-{number}", image=f"{number:064x}", text=0, data=number, hash=2**64 - 1 - number,
        thumbnail=bytes(32 * 32),
    )  # fmt: skip


def test_all_of_it_is_there_again_after_the_process(tmp_path: Path) -> None:
    with ReplayStore(tmp_path / "run", CODEC) as store:
        assert (store.state, store.spent, store.positions, store.images()) == (None, None, {}, [])
        store.take_over([entry("a", "1", origin("a"))], {("changelog", 3): 17})
        store.put("b", stored("2", origin("b")))
        store.done({"e1": "a", "e2": ""}, {"events": 2})
        store.spend({"usd": "0.5"})
        for number in range(300):
            store.keep_image(number, image(number))
    with ReplayStore(tmp_path / "run", CODEC) as store:
        assert (store.state, store.spent, store.positions) == ({"events": 2}, {"usd": "0.5"}, {("changelog", 3): 17})
        assert (answer_of(store.find("task", origin("a"))), answer_of(store.get("b"))) == ("1", "2")
        assert [store.content_of(event_id) for event_id in ("e1", "e2", "e3")] == ["a", "", None]
        assert store.images() == [image(number) for number in range(300)]


def test_two_processes_cannot_replay_one_run(tmp_path: Path) -> None:
    with ReplayStore(tmp_path / "run", CODEC), pytest.raises(ConfigError, match="another process"):
        ReplayStore(tmp_path / "run", CODEC)
