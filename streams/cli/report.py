"""escalon report."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import typer

from streams.app.providers import comparison
from streams.app.settings import read_settings
from streams.audit.query import Audit
from streams.audit.report import make_report
from streams.cli.audit_access import audit_database
from streams.cli.commands import new_app
from streams.cli.console import print_json
from streams.cli.context import find_pipeline_if_any
from streams.cli.options import JsonOption, PipelineOption, RunOption
from streams.cli.report_tables import print_advice, print_report, print_standings
from streams.evaluation.calibration_status import CalibrationStatus, standings
from streams.evaluation.cases import MAX_CASES, AuditPart, read_cases
from streams.pipeline.load import Pipeline

app = new_app()


@app.command(epilog="Example: escalon report --json")
def report(
    run: RunOption = "live",
    advice: Annotated[bool, typer.Option("--advice", help="Say whether tiering pays, and what to change.")] = False,
    upkeep: Annotated[float, typer.Option(help="US dollars a day that running the tiers costs you.")] = 10.0,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Summarise a run: how the events ended, time, money, and whether the calibrations still hold."""
    loaded = find_pipeline_if_any(read_settings(), pipeline, "Budgets and calibrations are left out")
    with audit_database() as database:
        with closing(Audit(database)) as audit:
            made = make_report(audit, run, loaded)
        with closing(Audit(database, max_rows=MAX_CASES)) as audit:
            standing = _standings(audit, loaded, run) if loaded else []
    advised = made.advice(Decimal(str(upkeep))) if advice else None
    if as_json:
        document = {"run": made.run, **made.parts, "over_budget": made.over_budget()}
        document["calibrations"] = [asdict(one) | {"holds": one.holds, "state": one.state} for one in standing]
        print_json(document | ({"advice": asdict(advised)} if advised else {}))
        return
    print_report(made)
    print_standings(standing)
    if advised:
        print_advice(advised)


def _standings(audit: Audit, pipeline: Pipeline, run: str) -> list[CalibrationStatus]:
    calibrated = [name for name, one in pipeline.workers.items() if one.confidence and one.confidence.artifact]
    if not calibrated:
        return []
    agrees = {name: comparison(pipeline.workers[name].correct) for name in calibrated}
    configs = [one.confidence for one in pipeline.workers.values() if one.confidence is not None]
    since = min(config.artifact.created for config in configs if config.artifact is not None)
    part = AuditPart(run=run, since=datetime.fromisoformat(since).replace(tzinfo=UTC) - timedelta(days=1))
    return standings(pipeline, read_cases(audit, pipeline, agrees, calibrated, part))
