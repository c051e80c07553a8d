"""Panels, cases and judgements as messages again, from the rows that the audit keeps of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from streams.core.messages import Judgement, Panel, PanelAnswer, PanelCase, PanelRater, PanelStratum


def panel_of(row: Mapping[str, Any]) -> Panel:
    """Return the panel in a row of the table `panels`."""
    people = tuple(PanelRater(**_timed(json.loads(one))) for one in row["people"])
    population = tuple(PanelStratum(**json.loads(one)) for one in row["population"])
    return Panel(**_known(Panel, row) | {"people": people, "population": population, "options": (*row["options"],)})


def case_of(row: Mapping[str, Any]) -> PanelCase:
    """Return the case in a row of the table `panel_cases`."""
    answers = tuple(PanelAnswer(**json.loads(one)) for one in row["answers"])
    return PanelCase(**_known(PanelCase, row) | {"answers": answers, "reasons": (*row["reasons"],)})


def judgement_of(row: Mapping[str, Any]) -> Judgement:
    """Return the judgement in a row of the table `judgements`."""
    return Judgement(**_known(Judgement, row))


def _known(kind: type, row: Mapping[str, Any]) -> dict[str, Any]:
    return {item.name: _utc(row[item.name]) for item in fields(kind)}


def _utc(value: Any) -> Any:
    """Return a value, a time with its zone, which the driver leaves out."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _timed(rater: Mapping[str, Any]) -> dict[str, Any]:
    return {**rater, "links_from": datetime.fromisoformat(rater["links_from"])}
