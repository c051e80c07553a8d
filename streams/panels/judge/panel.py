"""Judging a panel by a model, from the audit to Kafka."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.app.settings import Settings
from streams.audit.query import Audit
from streams.core.messages import PanelCase
from streams.panels.content import read_contents
from streams.panels.evidence import read_panel
from streams.panels.judge.handler import judge_handler
from streams.panels.judge.judging import JudgeOrder, Judging, JudgingTally, to_judge
from streams.panels.judge.money import JudgeMoney
from streams.panels.judge.origins import read_origins
from streams.panels.judge.position import BothOrders, both_orders
from streams.panels.publication import MessageWriter, await_recorded
from streams.pipeline.load import Pipeline


@dataclass(frozen=True, slots=True)
class Judged:
    """The counts of one command, and the choices in both orders if they were asked for."""

    judge: str
    """Its name on judgements: the model's."""
    tally: JudgingTally
    orders: BothOrders | None


def judge_panel(
    settings: Settings,
    clickhouse: ClickHouseConfig,
    pipeline: Pipeline,
    name: str,
    order: JudgeOrder,
    report: Callable[[JudgingTally], None] = lambda _: None,
) -> Judged:
    """Let a model judge the cases of a panel that it has not judged yet.

    Waits first until RECORD has stored what the topics hold, so that nothing is paid for twice. Raises ConfigError for
    an unknown panel or model, and ServiceError if Kafka, RECORD or ClickHouse does not answer.
    """
    await_recorded(settings)
    with closing(Audit(clickhouse)) as audit:
        evidence = read_panel(audit, name)
        judge_handler(pipeline, order.model, evidence.rubric, pair=False)
        judge, tally = pipeline.spec.models[order.model].model, JudgingTally()
        showings, tally.already = to_judge(evidence, order, judge)
        cases: list[PanelCase] = list({one.case.case_id: one.case for one in showings}.values())
        contents, origins = read_contents(audit, pipeline, cases), read_origins(audit, cases)
    with MessageWriter(settings) as writer:
        judging = Judging(
            settings=settings,
            pipeline=pipeline,
            rubric=evidence.rubric,
            order=order,
            contents=contents,
            origins=origins,
            send=writer.send,
            money=JudgeMoney(order.max_cost_usd),
            report=report,
        )
        said = judging.judge(showings, tally)
    orders = both_orders((*evidence.judgements, *said), judge) if order.both_orders else None
    return Judged(judge, tally, orders)
