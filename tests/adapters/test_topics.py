"""Topics are made once, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.kafka import KafkaConfig, create_changelogs, describe_cluster
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor

pytestmark = pytest.mark.embedded


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaConfig]:
    """A broker in memory."""
    with Supervisor(tmp_path / "logs") as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


def test_a_changelog_is_there_before_the_first_worker_and_made_only_once(kafka: KafkaConfig) -> None:
    assert create_changelogs(kafka, {"a-changelog": 4, "b-changelog": 1}, 1) == ["a-changelog", "b-changelog"]
    found = describe_cluster(kafka).partitions
    assert (found["a-changelog"], found["b-changelog"]) == (4, 1)
    assert create_changelogs(kafka, {"a-changelog": 4}, 1) == []
    assert create_changelogs(kafka, {}, 1) == []
