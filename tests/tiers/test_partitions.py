"""Topics and tables that do not fit: nothing is asked for, and events wait until they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.tiers.running import tiers

pytestmark = pytest.mark.embedded
EVENTS = [f"e{number}" for number in range(40)]


def test_a_tier_whose_topic_has_more_partitions_than_its_table_says_so_and_events_wait(
    kafka_home: Path, tmp_path: Path
) -> None:
    with tiers(kafka_home, tmp_path) as running:
        running.start("listen", "work", "settle")
        running.wait_ready("listen", "work", "settle")
        running.stop("work")
        running.raise_partitions("verdicts", 4)
        running.start("work")
        assert running.exit_code("work") == 2
        command = "--alter --topic escalon-work-verdicts-answers-changelog --partitions 4"
        assert command in " ".join(running.log("work").split())
        ids = running.publish(*EVENTS)
        running.raise_partitions("escalon-work-verdicts-answers-changelog", 4)
        running.start("work")
        assert ids <= running.outcomes(ids).keys()
        assert running.dead_letters() == []
        assert max(running.asked().values()) == 1


def test_a_topic_that_gets_more_partitions_under_a_running_tier_ends_it_before_a_call_is_made(
    kafka_home: Path, tmp_path: Path
) -> None:
    with tiers(kafka_home, tmp_path) as running:
        running.start("listen", "work", "settle")
        running.wait_ready("listen", "work", "settle")
        first = running.publish("first")
        running.outcomes(first)
        running.raise_partitions("verdicts", 4)
        running.stop("listen")
        running.start("listen")
        ids = running.publish(*EVENTS)
        assert running.exit_code("work") != 0
        running.start("work")
        assert running.exit_code("work") == 2
        running.raise_partitions("escalon-work-verdicts-answers-changelog", 4)
        running.start("work")
        assert ids <= running.outcomes(ids).keys()
        assert running.dead_letters() == []
        assert max(running.asked().values()) == 1
