"""Topics are made once, on a real broker."""

from __future__ import annotations

import pytest

from streams.adapters.kafka import KafkaConfig, create_changelogs, describe_cluster

pytestmark = pytest.mark.embedded


def test_a_changelog_is_there_before_the_first_worker_and_made_only_once(kafka: KafkaConfig) -> None:
    assert create_changelogs(kafka, {"a-changelog": 4, "b-changelog": 1}, 1) == ["a-changelog", "b-changelog"]
    found = describe_cluster(kafka).partitions
    assert (found["a-changelog"], found["b-changelog"]) == (4, 1)
    assert create_changelogs(kafka, {"a-changelog": 4}, 1) == []
    assert create_changelogs(kafka, {}, 1) == []
