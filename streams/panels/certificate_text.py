"""The sentences of a certificate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from streams.panels.certificate import Quality
from streams.panels.claims import Claim, ErrorClaim
from streams.panels.completeness import Completeness
from streams.panels.decision import percentage
from streams.panels.evidence import PanelEvidence

_COMPLETE: Final = "Every event has exactly one end, and every record its row in the audit."
_UNPROVEN: Final = "Whether the stream is complete is unproven."


def time_range(since: datetime | None, until: datetime) -> str:
    """Return a time range in words, to the minute in UTC."""
    end = f"{until:%Y-%m-%d %H:%M} UTC"
    return f"until {end}" if since is None else f"from {since:%Y-%m-%d %H:%M} to {end}"


def statement(claim: Claim, certainty: float, quality: Quality, completeness: Completeness, when: str) -> str:
    """Return what a granted certificate states: the quality, and what is known of the completeness."""
    tasks = f"{quality.total.tasks:,} answered tasks {when}"
    if isinstance(claim, ErrorClaim):
        first = (
            f"Of the {tasks}, at least {percentage(1 - claim.limit)} were answered rightly, with certainty "
            f"{percentage(certainty)}: at most {percentage(quality.total.high)} are wrong, by {quality.total.cases:,} "
            "cases that people judged."
        )
    else:
        first = (
            f"Of the {tasks}, the answers of {claim.better} win more often than those of {claim.worse}, with certainty "
            f"{percentage(certainty)}, by {quality.total.cases:,} cases that people judged."
        )
    return f"{first} {_COMPLETE if completeness.state == 'proven' else _UNPROVEN}"


def why_not(
    claim: Claim, certainty: float, quality: Quality, completeness: Completeness, effort: str = ""
) -> Iterator[str]:
    """Yield what refuses the certificate; `effort` says what people would have to do to prove the claim."""
    total = quality.total
    between = (
        f"the error lies between {percentage(total.low)} and {percentage(total.high)}"
        if isinstance(claim, ErrorClaim)
        else f"the wins of {claim.better}, with ties and tasks without a comparison as half, lie between "
        f"{percentage(total.low)} and {percentage(total.high)}"
    )
    if quality.decision == "fails":
        sure = percentage(certainty)
        yield f'"{claim}" is refuted with certainty {sure}: {between}, by {total.cases:,} judged cases.'
    elif quality.decision == "open":
        yield f'"{claim}" is not proven: {between}, by {total.cases:,} judged cases. {effort}'.rstrip()
    yield from completeness.faults


def needed_words(cases: int, minutes: float, drawn: int) -> str:
    """Return about how much more people would have to judge; `drawn` cases are left in the panel."""
    said = f"About {cases:,} more cases would prove it, if they are like those so far: {_minutes(minutes)}."
    if cases <= drawn:
        return said
    return f"{said} The panel has {drawn:,} more; make a larger one with: escalon panel new."


def least_words(cases: int, minutes: float) -> str:
    """Return about how much people would have to judge, before any case is known."""
    return f"It needs about {cases:,} judged cases, {_minutes(minutes)}, if nothing speaks against the claim."


def _minutes(minutes: float) -> str:
    return f"about {max(1, math.ceil(minutes)):,} minutes of all raters together"


def cautions(
    quality: Quality,
    completeness: Completeness,
    panels: Sequence[PanelEvidence],
    asked: tuple[datetime | None, datetime | None],
) -> Iterator[str]:
    """Yield what limits the certificate. `asked` are the times that were asked for, None for any."""
    yield from completeness.unproven
    if quality.skipped:
        yield (
            f"{quality.skipped:,} of the counted cases have no verdict, because all raters skipped them or the event "
            "was erased; they count against the claim."
        )
    since, until = panels[0].panel.since, panels[-1].panel.until
    wider = (asked[0] is not None and (since is None or since < asked[0])) or (
        asked[1] is not None and until > asked[1]
    )
    if wider:
        yield "The cases were drawn from a longer time than you asked about, and the certificate is about all of it."
    for one, other in pairwise(panels):
        if other.panel.since is not None and other.panel.since > one.panel.until:
            gap = time_range(one.panel.until, other.panel.since)
            yield f"No panel covers the time {gap}, so the certificate does not speak about it."


def other_panels(names: Sequence[str]) -> Iterator[str]:
    """Yield a caution if panels that do not count were drawn from the same time."""
    if names:
        yield (
            f"Cases were drawn from this time for other panels as well: {', '.join(names)}. The certainty holds if the "
            "panel was not chosen by what raters found."
        )


def pipeline_cautions(outcomes: Mapping[str, int], present: str) -> Iterator[str]:
    """Yield a caution if pipelines other than the present one answered; `outcomes` counts by the hash of each."""
    others = sum(count for name, count in outcomes.items() if name != present)
    if present and others:
        yield (
            f"{others:,} of {sum(outcomes.values()):,} answered events were answered by other versions of the pipeline "
            f"than the file's ({present[:12]})."
        )
