"""A tier whose table was broken, as by a power loss, starts and has its entries again."""

from __future__ import annotations

from pathlib import Path

import pytest
from rocksdict import AccessType, Options, Rdict

from tests.harness.tiers.running import tiers

pytestmark = pytest.mark.embedded
EVENTS = [f"e{number}" for number in range(12)]


def entries(tables: list[Path]) -> set[bytes]:
    """The keys of all partitions of a table that no process has open."""
    found = set[bytes]()
    for path in tables:
        database = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.with_ttl(3600))
        found |= {key for key in database.keys() if not key.startswith(b"\0escalon")}  # noqa: SIM118 - not a dict
        database.close()
    return found


def test_a_table_whose_current_file_is_empty_is_rebuilt_from_its_changelog(kafka_home: Path, tmp_path: Path) -> None:
    with tiers(kafka_home, tmp_path) as running:
        running.start("listen", "work", "settle")
        running.wait_ready("listen", "work", "settle")
        running.outcomes(running.publish(*EVENTS))
        running.stop("work")
        tables = sorted(running.directory("work").glob("tables/*/work-0/verdicts-answers-*.db"))
        before = entries(tables)
        assert (len(tables), len(before)) == (2, len(EVENTS))
        for table in tables:
            (table / "CURRENT").write_bytes(b"")
        running.start("work")
        running.wait_ready("work")
        running.outcomes(running.publish("after"))
        running.stop("work")
        assert before < entries(tables)
        assert max(running.asked().values()) == 1
        for table in tables:
            assert f"{table}.broken" in running.log("work")
            assert Path(f"{table}.broken").is_dir()
        assert running.dead_letters() == []


def test_a_table_that_has_come_further_than_its_changelog_keeps_what_it_holds_and_its_tier_starts(
    kafka_home: Path, tmp_path: Path
) -> None:
    with tiers(kafka_home, tmp_path) as running:
        running.start("listen", "work", "settle")
        running.wait_ready("listen", "work", "settle")
        running.outcomes(running.publish(*EVENTS))
        running.stop("work")
        tables = sorted(running.directory("work").glob("tables/*/work-0/verdicts-answers-*.db"))
        before = entries(tables)
        running.delete("escalon-work-verdicts-answers-changelog")
        running.start("work")
        running.wait_ready("work")
        running.outcomes(running.publish("after"))
        running.stop("work")
        assert before < entries(tables)
        assert "the changelog is read from its beginning" in running.log("work")
