"""`escalon certify` on a real audit, and on a real broker with an event that was lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.audit.query import Audit
from streams.audit.verify.report import VerifyReport
from streams.core.errors import ConfigError
from streams.core.messages import Panel
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor
from streams.panels.certificate import Certificate
from streams.panels.certificate_document import document_hash
from streams.panels.certification import CertificateRequest, certify
from streams.panels.estimation.needed import least_cases
from streams.panels.rubric import read_rubric
from tests.builders import START, event, outcome
from tests.harness.audit import write
from tests.harness.audit_world import World, lose_an_outcome
from tests.harness.commands import Escalon
from tests.harness.panels import RUBRIC, answer, case, panel, said, stratum

pytestmark = pytest.mark.embedded
TASKS = 20
WEEK = timedelta(days=7)


def judged(run: str, name: str = "week-48", *, wrong: int = 0, judged_cases: int = TASKS, **more: Any) -> list[Any]:
    """A panel on all tasks of a run, of which some of the first were found wrong."""
    own: dict[str, Any] = {"panel": name}
    by = {"rubric": read_rubric(RUBRIC).id}
    drawn = [case(n, answer(run=run), run=run, event_id=f"{run}-{n}", **own) for n in range(1, 1 + TASKS)]
    rated = [
        said(one.case_id, "anna", "no" if one.position <= wrong else "yes", run=run, event_id=one.event_id, **own, **by)
        for one in drawn[:judged_cases]
    ]
    return [panel(stratum(tasks=TASKS), raters_per_case=1, run=run, **own | more), *drawn, *rated]


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *(outcome(event(f"good-{n}", run="good")) for n in range(1, 1 + TASKS)), *judged("good", wrong=1))
    write(config, *judged("open", "week-50", judged_cases=5))
    return config


def made(config: ClickHouseConfig, run: str = "good", claim: str = "error <= 0.05", **more: Any) -> Certificate:
    """The certificate of a run whose topics hold everything."""
    usual: dict[str, Any] = {"claim": claim, "certainty": 0.95, "run": run, "now": START + 2 * WEEK}
    request = CertificateRequest(**usual | more)
    audit = Audit(config)
    try:
        return certify(audit, request, lambda _: VerifyReport(ends={"outcome": TASKS}))
    finally:
        audit.close()


def test_a_claim_that_the_judgements_prove_is_granted(config: ClickHouseConfig) -> None:
    found = made(config)
    assert (found.granted, found.completeness.state, found.since, found.until) == (True, "proven", START, START + WEEK)
    assert found.quality is not None
    assert [(one.panel, one.counted, one.judgements) for one in found.quality.panels] == [("week-48", TASKS, TASKS)]
    assert found.outcomes == {"p": TASKS}
    assert (found.rows["outcomes"], found.rows["judgements"], found.rows["panel_cases"]) == (TASKS, TASKS, TASKS)


def test_a_claim_that_the_judgements_refute_is_not(config: ClickHouseConfig) -> None:
    found = made(config, claim="error <= 0.02")
    assert not found.granted
    assert '"error <= 0.02" is refuted' in found.why_not[0]


def test_too_few_judgements_prove_nothing(config: ClickHouseConfig) -> None:
    found = made(config, "open")
    assert '"error <= 0.05" is not proven' in found.why_not[0]
    assert found.cases_more is not None
    assert 1 <= found.cases_more <= TASKS - 5
    assert found.minutes == found.cases_more * 30 / 60  # 30 seconds a case, one rater
    assert f"About {found.cases_more} more cases would prove it" in found.why_not[0]


def test_without_a_panel_it_says_how_to_make_one(config: ClickHouseConfig) -> None:
    found = made(config, "never")
    assert (found.granted, found.quality) == (False, None)
    assert "escalon panel new NAME --rubric FILE --stop" in found.why_not[0]
    least = least_cases(0.05, below=True)
    assert found.cases_more == least
    assert found.minutes == pytest.approx(least * 40 / 60)


def test_a_panel_must_cover_the_time_that_was_asked_for(config: ClickHouseConfig) -> None:
    inside = made(config, since=START + timedelta(days=1), until=START + WEEK)
    assert inside.granted
    assert any("from a longer time than you asked about" in one for one in inside.cautions)
    outside: dict[str, Any] = {"since": START, "until": START + WEEK + timedelta(hours=1)}
    assert "No panel on good covers the time" in made(config, **outside).why_not[0]
    named = made(config, panels=("week-48",), **outside)
    assert "week-48 did not draw from all of the time" in named.why_not[0]


def test_a_named_panel_on_another_run_is_refused(config: ClickHouseConfig) -> None:
    with pytest.raises(ConfigError, match="is about the run open"):
        made(config, panels=("week-50",))


@pytest.mark.parametrize("certainty", [0.0, 0.5, 1.0, 95.0])
def test_an_impossible_certainty_is_refused(config: ClickHouseConfig, certainty: float) -> None:
    with pytest.raises(ConfigError, match=r"Write for example 0\.95") as caught:
        made(config, certainty=certainty)
    assert caught.value.key == "certainty"


def test_the_newest_panel_with_judgements_is_taken(config: ClickHouseConfig) -> None:
    write(config, *judged("two", "old", until=START + WEEK), *judged("two", "new", until=START + 2 * WEEK))
    write(config, *judged("two", "empty", judged_cases=0, until=START + 3 * WEEK))
    found = made(config, "two")
    assert found.quality is not None
    assert [one.panel for one in found.quality.panels] == ["new"]
    assert any("for other panels as well: empty, old." in one for one in found.cautions)


def test_a_panel_alone_in_its_time_gives_no_caution(config: ClickHouseConfig) -> None:
    assert made(config).cautions == ()


def test_panels_on_successive_weeks_make_one_certificate(config: ClickHouseConfig) -> None:
    second: dict[str, Any] = {"since": START + WEEK, "until": START + 2 * WEEK}
    write(config, *judged("weeks", "first", wrong=1), *judged("weeks", "second", **second))
    found = made(config, "weeks", panels=("second", "first"), since=START, until=START + 2 * WEEK)
    assert (found.granted, found.since, found.until) == (True, START, START + 2 * WEEK)
    assert found.quality is not None
    assert found.quality.total.tasks == 2 * TASKS
    assert found.quality.total.high == pytest.approx(1 / (2 * TASKS))


# ---- The command ----


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    with Supervisor(tmp_path_factory.mktemp("tansu") / "logs") as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


@pytest.fixture
def world(config: ClickHouseConfig, in_memory: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> World:
    """A stream of TASKS events with a panel on it, as `escalon` finds it an hour later."""
    world = World(in_memory, config)
    monkeypatch.setenv("ESCALON_KAFKA", in_memory.servers)
    monkeypatch.setenv("ESCALON_RUN", world.run)
    monkeypatch.setenv("ESCALON_TOPIC_PREFIX", world.prefix)
    monkeypatch.setenv("ESCALON_CLOCK_OFFSET", "3600")
    world.live(*(f"{world.run}-{n}" for n in range(1, 1 + TASKS)))
    world.write(*(replace(one, until=START + timedelta(days=3650)) if isinstance(one, Panel) else one
                  for one in judged(world.run, f"of-{world.run}", wrong=1)))  # fmt: skip
    return world


def test_a_certificate_is_granted_until_an_event_is_lost(world: World, escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("certify", "--claim", "error <= 0.05", "--json", "--html", "page.html")
    assert done.code == 0, done.out + done.err
    document = json.loads(done.stdout)
    assert (document["granted"], document["completeness"]["state"]) == (True, "proven")
    assert document["hash"] == document_hash(document)
    assert document["hash"] in (tmp_path / "page.html").read_text("utf-8")
    lose_an_outcome(world)
    done = escalon("certify", "--claim", "error <= 0.05")
    assert done.code == 1
    assert "Not granted. events: 1 events without an outcome or a dead letter: lost." in done.out


def test_without_a_broker_the_completeness_is_unproven(
    config: ClickHouseConfig, escalon: Escalon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALON_RUN", "good")
    done = escalon("certify")
    assert (done.code, "No Kafka broker is running" in done.out) == (0, True)
    assert "Granted for quality alone." in done.out
    assert "Whether the stream is complete is unproven." in done.out
    assert config.url


def test_a_wrong_claim_is_reported_in_plain_words(escalon: Escalon) -> None:
    done = escalon("certify", "--claim", "good enough")
    assert (done.code, "'good enough' is not a claim" in done.err) == (2, True)
