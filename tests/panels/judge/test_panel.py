"""A model judges a panel from the audit to the audit, on real servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.settings import Settings, read_settings
from streams.audit.query import Audit
from streams.core.messages import PanelCase
from streams.embedded.recording import recording_servers
from streams.panels.content import CaseContent
from streams.panels.evidence import read_panel
from streams.panels.judge.judging import JudgeOrder
from streams.panels.judge.panel import Judged, judge_panel
from streams.panels.publication import await_recorded, publish
from streams.pipeline.load import Pipeline
from tests.builders import call, event, outcome, reply, verdict
from tests.harness.audit import write
from tests.harness.judge import ALONE, MODEL, judges_shop, record, replied, request
from tests.harness.panels import NAME, case, panel, said

pytestmark = pytest.mark.embedded


@dataclass(frozen=True)
class Desk:
    """A pipeline with a panel of two cases about its answers, and the servers that hold them."""

    settings: Settings
    pipeline: Pipeline

    @property
    def clickhouse(self) -> ClickHouseConfig:
        assert self.settings.clickhouse is not None
        return self.settings.clickhouse

    def judge(self) -> Judged:
        order = JudgeOrder(model="judge", max_cost_usd=Decimal(1))
        return judge_panel(self.settings, self.clickhouse, self.pipeline, NAME, order)

    def audit(self) -> Audit:
        await_recorded(self.settings)
        return Audit(self.clickhouse)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory = tmp_path_factory.mktemp("desk")
    pipeline = judges_shop(directory)
    where = str(directory / "data")
    settings = read_settings({"ESCALON_DATA": where, "ESCALON_PARTITIONS": "1", "ESCALON_ALLOW_PYTHON": "1"})
    with recording_servers(settings, pipeline) as running:
        made = Desk(running, pipeline)
        cases = [answered(made, number) for number in (1, 2)]
        shown = CaseContent(text="my order", data="", image=None, answers={"outcome": '{\n  "number": "7"\n}'})
        record(pipeline, (request(pipeline, shown, ("outcome",)), replied(ALONE)))
        publish(running, [panel(), *cases, said("c1", "anna", "no")])
        yield made


def answered(desk: Desk, number: int) -> PanelCase:
    """A case about an event that its worker answered."""
    of = event(f"e{number}")
    made = call(of, response=reply({"number": "7"}))
    write(desk.clickhouse, verdict(of), made, replace(outcome(of), answer=json.dumps({"number": "7"})))
    return case(number)


@pytest.fixture(scope="module")
def judged(desk: Desk) -> Judged:
    return desk.judge()


def test_the_judgements_of_a_model_are_in_the_audit_beside_those_of_people(desk: Desk, judged: Judged) -> None:
    assert (judged.judge, judged.tally.judged, judged.tally.stopped) == (MODEL, 2, "")
    audit = desk.audit()
    found = read_panel(audit, NAME).judgements
    audit.close()
    right = [(one.case_id, one.judge, one.judge_kind, one.verdict) for one in found if one.question == "right"]
    assert sorted(right) == [
        ("c1", "anna", "person", "no"), ("c1", MODEL, "model", "yes"), ("c2", MODEL, "model", "yes"),
    ]  # fmt: skip


def test_its_calls_are_in_the_audit_under_their_events(desk: Desk, judged: Judged) -> None:
    audit = desk.audit()
    rows = audit.query("SELECT event_id, handler, cost_usd FROM calls WHERE tier = 'judge' ORDER BY event_id").rows
    audit.close()
    assert [row[:2] for row in rows] == [("e1", "judge"), ("e2", "judge")]
    assert sum(row[2] for row in rows) == judged.tally.usd


def test_a_second_command_pays_for_nothing_again(desk: Desk, judged: Judged) -> None:
    again = desk.judge()
    assert judged.tally.judged == again.tally.already == 2
    assert (again.tally.judged, again.tally.usd) == (0, Decimal(0))
