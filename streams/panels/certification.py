"""Make a certificate: find the panels, read the audit, have the stream verified, and put both halves together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from streams.audit.query import Audit
from streams.audit.verify.report import VerifyReport
from streams.core.errors import ConfigError
from streams.core.time_range import EARLIEST
from streams.panels.certificate import Certificate, Quality, assess, check_ranges
from streams.panels.certificate_text import (
    cautions,
    least_words,
    needed_words,
    other_panels,
    pipeline_cautions,
    statement,
    time_range,
    why_not,
)
from streams.panels.claims import Claim, read_claim
from streams.panels.completeness import completeness_of
from streams.panels.decision import cases_needed, decided_cases, least_cases
from streams.panels.evidence import PanelEvidence, read_panel
from streams.panels.making import USUAL_SECONDS, read_pace

Verify = Callable[[datetime | None], VerifyReport | None]
"""Verifies the run since a time; None if there is no broker to ask."""
_NEWEST: Final = "SELECT panel FROM panels WHERE run = {run:String} ORDER BY until DESC, created_at DESC, panel"
_ROWS: Final = """
    WITH
        {run:String} AS ours, {since:DateTime64(6, 'UTC')} AS since, {until:DateTime64(6, 'UTC')} AS until,
        {panels:Array(String)} AS names
    SELECT 'calls' AS name, count() FROM calls WHERE run = ours AND event_time >= since AND event_time < until
    UNION ALL
    SELECT 'verdicts', count() FROM verdicts WHERE run = ours AND event_time >= since AND event_time < until
    UNION ALL
    SELECT 'outcomes', count() FROM outcomes WHERE run = ours AND event_time >= since AND event_time < until
    UNION ALL
    SELECT 'dead_letters', count() FROM dead_letters WHERE run = ours AND event_time >= since AND event_time < until
    UNION ALL
    SELECT 'panel_cases', count() FROM panel_cases WHERE has(names, panel)
    UNION ALL
    SELECT 'judgements', count() FROM judgements WHERE has(names, panel)
"""
_PIPELINES: Final = """
    SELECT pipeline, count() AS answered FROM outcomes
    WHERE run = {run:String} AND event_time >= {since:DateTime64(6, 'UTC')}
        AND event_time < {until:DateTime64(6, 'UTC')} AND state = 'answered'
    GROUP BY pipeline ORDER BY answered DESC, pipeline
"""
_OTHERS: Final = """
    SELECT panel FROM panels
    WHERE run = {run:String} AND NOT has({panels:Array(String)}, panel) AND until > {since:DateTime64(6, 'UTC')}
        AND coalesce(since, toDateTime64(0, 6, 'UTC')) < {until:DateTime64(6, 'UTC')}
    ORDER BY created_at, panel
"""
_SETTLED: Final = """
    SELECT uniqExact(event_id, content_digest) FROM outcomes
    WHERE run = {run:String} AND event_time >= {since:DateTime64(6, 'UTC')}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """The certificate that is asked for. Without `panels` the newest one that covers the time and can decide it.

    `pipeline` is the hash of the pipeline file at present; empty without one.
    """

    claim: str
    certainty: float
    run: str
    panels: tuple[str, ...] = ()
    pipeline: str = ""
    since: datetime | None = None
    until: datetime | None = None
    now: datetime


def certify(audit: Audit, request: CertificateRequest, verify: Verify) -> Certificate:
    """Make a certificate.

    Raises ConfigError for a claim that cannot be read, a certainty that is not between 0.5 and 1, an unknown panel, or
    panels that cannot be combined.
    """
    if not 0.5 < request.certainty < 1:
        raise ConfigError(f"{request.certainty} is not a certainty.", "Write for example 0.95.", "certainty")
    claim = read_claim(request.claim)
    panels = chosen_panels(audit, request)
    since = panels[0].panel.since if panels else request.since
    until = panels[-1].panel.until if panels else request.until or request.now
    scope = {"run": request.run, "since": since or EARLIEST}
    (settled,) = audit.query(_SETTLED, scope).rows[0]
    completeness = completeness_of(verify(since), settled)
    scope |= {"until": until}
    names = [one.panel.panel for one in panels]
    made = Certificate(
        claim=str(claim),
        certainty=request.certainty,
        run=request.run,
        since=since,
        until=until,
        made_at=request.now,
        statement="",
        why_not=(),
        cautions=(),
        quality=None,
        completeness=completeness,
        outcomes={str(row[0]): row[1] for row in audit.query(_PIPELINES, scope).rows},
        rows={str(row[0]): row[1] for row in audit.query(_ROWS, scope | {"panels": names}).rows},
    )
    if not panels:
        return _without_panel(made, claim, request)
    quality = assess(claim, panels, request.certainty)
    others = [str(row[0]) for row in audit.query(_OTHERS, scope | {"panels": names}).rows]
    made = replace(made, cautions=tuple(other_panels(others)))
    effort = _effort(audit, claim, panels, request.certainty) if quality.decision == "open" else None
    return _concluded(made, claim, quality, panels, request, effort)


def chosen_panels(audit: Audit, request: CertificateRequest) -> list[PanelEvidence]:
    """Return the named panels, oldest first, or the newest that covers the time and can decide the claim, or none."""
    if request.panels:
        named = [read_panel(audit, name) for name in dict.fromkeys(request.panels)]
        for one in named:
            _check(request, one)
        check_ranges(named)
        return sorted(named, key=lambda one: one.panel.until)
    for (name,) in audit.query(_NEWEST, {"run": request.run}).rows:
        found = read_panel(audit, name)
        if _covers([found], request) and _can_decide(request.claim, found):
            return [found]
    return []


def _check(request: CertificateRequest, evidence: PanelEvidence) -> None:
    """Raise ConfigError unless a named panel is on the run and can decide the claim."""
    if evidence.panel.run != request.run:
        what = f"the panel {evidence.panel.panel} is about the run {evidence.panel.run}."
        raise ConfigError(what, "Set ESCALON_RUN to it, or name another panel.", "panel")
    _read(request.claim, evidence)


def _read(claim: str, evidence: PanelEvidence) -> Claim:
    picks = any(one.type == "pick" for one in evidence.rubric.questions)
    errors = evidence.rubric.right_question is not None
    return read_claim(claim, evidence.panel.options, asks_error=errors, asks_pick=picks)


def _can_decide(claim: str, evidence: PanelEvidence) -> bool:
    try:
        _read(claim, evidence)
    except ConfigError:
        return False
    return any(one.judge_kind == "person" for one in evidence.judgements)


def _covers(panels: Sequence[PanelEvidence], request: CertificateRequest) -> bool:
    since, until = panels[0].panel.since or EARLIEST, panels[-1].panel.until
    return (request.since is None or since <= request.since) and (request.until is None or request.until <= until)


def _without_panel(made: Certificate, claim: Claim, request: CertificateRequest) -> Certificate:
    """Return the certificate with the panel that it lacks, and the least effort that this panel would take."""
    cases = least_cases(claim, request.certainty)
    minutes = cases * USUAL_SECONDS / 60
    when = time_range(request.since, request.until) if request.until is not None else ""
    what = (
        f"No panel on {request.run} {f'covers the time {when} and ' if when else ''}can decide '{made.claim}' by "
        f"people's judgements. {least_words(cases, minutes)} Make a panel with: escalon panel new NAME --rubric FILE "
        f"--stop '{made.claim}'."
    )
    return replace(
        made,
        why_not=(what, *made.completeness.faults),
        cautions=made.completeness.unproven,
        cases_more=cases,
        minutes=minutes,
    )


@dataclass(frozen=True, slots=True)
class Effort:
    """About how many more cases would prove a claim, and the minutes of all raters together; None if none would."""

    cases: int | None
    minutes: float | None
    words: str


def _effort(audit: Audit, claim: Claim, panels: Sequence[PanelEvidence], certainty: float) -> Effort:
    """Return what people would have to do, at their median time for a case by the rubric."""
    needed = [cases_needed(claim, one, 1 - (1 - certainty) / len(panels)) for one in panels]
    known = [one for one in needed if one is not None]
    if len(known) < len(needed):
        return Effort(None, None, "If further cases are like those so far, they will not prove it.")
    raters = [one.panel.raters_per_case for one in panels]
    paces = [read_pace(audit, one.rubric).seconds for one in panels]
    minutes = sum(cases * by * seconds / 60 for cases, by, seconds in zip(known, raters, paces, strict=True))
    drawn = sum(len(one.sample) for one in panels)
    counted = sum(len(decided_cases(claim, one)) for one in panels)
    return Effort(sum(known), minutes, needed_words(sum(known), minutes, drawn - counted))


def _concluded(
    made: Certificate,
    claim: Claim,
    quality: Quality,
    panels: Sequence[PanelEvidence],
    request: CertificateRequest,
    effort: Effort | None,
) -> Certificate:
    """Return the certificate with its statement, or with what refuses it."""
    refused = list(why_not(claim, request.certainty, quality, made.completeness, effort.words if effort else ""))
    if not _covers(panels, request):
        when = time_range(request.since, request.until) if request.until else f"since {request.since:%Y-%m-%d %H:%M}"
        names = ", ".join(one.panel.panel for one in panels)
        refused.append(f"{names} did not draw from all of the time {when}, but {time_range(made.since, made.until)}.")
    when = time_range(made.since, made.until)
    return replace(
        made,
        statement="" if refused else statement(claim, request.certainty, quality, made.completeness, when),
        why_not=tuple(refused),
        cautions=(
            *made.cautions,
            *cautions(quality, made.completeness, panels, (request.since, request.until)),
            *pipeline_cautions(made.outcomes, request.pipeline),
        ),
        quality=quality,
        cases_more=effort.cases if effort else None,
        minutes=effort.minutes if effort else None,
    )
