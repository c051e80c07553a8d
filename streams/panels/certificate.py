"""A certificate: a claim about a stream's answers, proven by people's judgements, and the stream's completeness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import pairwise

from streams.core.errors import ConfigError
from streams.core.fingerprint import canonical
from streams.core.time_range import EARLIEST
from streams.panels.claims import Claim, ErrorClaim
from streams.panels.completeness import Completeness
from streams.panels.decision import ClaimState, DecidedCase, Decision, bounds, decide, decided_cases, decision_on
from streams.panels.evidence import PanelEvidence, delivered_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class RateBounds:
    """The bounds of a rate over `tasks` tasks by `cases` judged ones. Each bound holds with the certainty by itself."""

    name: str
    tasks: int
    cases: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelBasis:
    """One panel under a certificate. The digests identify what its raters saw and said."""

    panel: str
    run: str
    since: datetime | None
    until: datetime
    tasks: int
    cases: int
    counted: int
    skipped: int
    raters_per_case: int
    rubric: str
    pipeline: str
    cases_digest: str
    judgements: int
    judgements_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The first half of a certificate: what people's judgements say about the claim, in total and by tier."""

    decision: Decision
    total: RateBounds
    tiers: tuple[RateBounds, ...]
    skipped: int
    moments: tuple[tuple[int, float, float], ...]
    """After each case of the only panel: cases, lower and upper bound. Empty for several panels."""
    panels: tuple[PanelBasis, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The answer to a request for a certificate. The times are the range that it is about; `since` None is all before.

    `why_not` says what refuses it, `cautions` what it does not say. `outcomes` counts the answered events by the hash
    of the pipeline that answered, `rows` the audit's rows by table. `cases_more` and `minutes` (of all raters together)
    are about what people would have to do to decide the claim; None if it is decided.
    """

    claim: str
    certainty: float
    run: str
    since: datetime | None
    until: datetime
    made_at: datetime
    statement: str
    why_not: tuple[str, ...]
    cautions: tuple[str, ...]
    quality: Quality | None
    completeness: Completeness
    outcomes: Mapping[str, int]
    rows: Mapping[str, int]
    cases_more: int | None = None
    minutes: float | None = None

    @property
    def granted(self) -> bool:
        """True if nothing refuses it."""
        return not self.why_not


def assess(claim: Claim, panels: Sequence[PanelEvidence], certainty: float) -> Quality:
    """Return what some panels on different times say about a claim.

    Of several panels, each bound holds with a certainty of 1 - (1 - certainty) / panels (Bonferroni), so their mean,
    weighted by tasks, holds with the certainty.
    """
    level = 1 - (1 - certainty) / len(panels)
    states = [decide(claim, one, level) for one in panels]
    total = _pooled("all", [_whole(state, one) for state, one in zip(states, panels, strict=True)])
    tiers: tuple[RateBounds, ...] = ()
    if isinstance(claim, ErrorClaim):
        counted = [(one, decided_cases(claim, one)) for one in panels]
        names = sorted({stratum.tier for one in panels for stratum in one.panel.population}, reverse=True)
        tiers = tuple(
            _pooled(tier, [part for one, cases in counted if (part := _tier(tier, one, cases, level))])
            for tier in names
        )
    return Quality(
        decision=decision_on(claim, total.low, total.high),
        total=total,
        tiers=tiers,
        skipped=sum(one.skipped for one in states),
        moments=tuple((one.cases, one.low, one.high) for one in states[0].moments) if len(panels) == 1 else (),
        panels=tuple(_basis(one, state) for one, state in zip(panels, states, strict=True)),
    )


def _whole(state: ClaimState, evidence: PanelEvidence) -> RateBounds:
    tasks = sum(one.tasks for one in evidence.panel.population)
    return RateBounds(name="all", tasks=tasks, cases=state.cases, low=state.low, high=state.high)


def _tier(tier: str, evidence: PanelEvidence, cases: Sequence[DecidedCase], certainty: float) -> RateBounds | None:
    """Bound the error of one tier: a draw's cases of one part of the population are a draw from that part."""
    strata = [one for one in evidence.panel.population if one.tier == tier]
    tasks = sum(one.tasks for one in strata)
    if not tasks:
        return None
    own = [one for one in cases if _tier_of(one, evidence) == tier]
    moments = bounds(
        own, [one.case.prediction for one in own], tasks=tasks, weight=sum(one.weight for one in strata),
        predicted=sum(one.prediction for one in strata), certainty=certainty,
    )  # fmt: skip
    low, high = (moments[-1].low, moments[-1].high) if moments else (0.0, 1.0)
    return RateBounds(name=tier, tasks=tasks, cases=len(own), low=low, high=high)


def _tier_of(one: DecidedCase, evidence: PanelEvidence) -> str:
    answer = delivered_answer(one.case, evidence.panel)
    return answer.tier if answer is not None else ""


def _pooled(name: str, parts: Sequence[RateBounds]) -> RateBounds:
    tasks = sum(one.tasks for one in parts)
    low, high = (sum(one.tasks * value for one, value in zip(parts, side, strict=True)) / tasks for side in
                 ([one.low for one in parts], [one.high for one in parts]))  # fmt: skip
    return RateBounds(name=name, tasks=tasks, cases=sum(one.cases for one in parts), low=low, high=high)


def check_ranges(panels: Sequence[PanelEvidence]) -> None:
    """Raise ConfigError unless the panels are on one run and their time ranges do not overlap."""
    runs = sorted({one.panel.run for one in panels})
    if len(runs) > 1:
        raise ConfigError(f"the panels are on different runs: {', '.join(runs)}.", "Name panels on one run.", "panel")
    ordered = sorted(panels, key=lambda one: one.panel.since or EARLIEST)
    for one, other in pairwise(ordered):
        if (other.panel.since or EARLIEST) < one.panel.until:
            what = f"the time ranges of {one.panel.panel} and {other.panel.panel} overlap."
            raise ConfigError(what, "Name panels on different times.", "panel")


def _basis(evidence: PanelEvidence, state: ClaimState) -> PanelBasis:
    panel = evidence.panel
    said = [one for one in evidence.judgements if one.judge_kind == "person"]
    return PanelBasis(
        panel=panel.panel,
        run=panel.run,
        since=panel.since,
        until=panel.until,
        tasks=sum(one.tasks for one in panel.population),
        cases=len(evidence.sample),
        counted=state.cases,
        skipped=state.skipped,
        raters_per_case=panel.raters_per_case,
        rubric=panel.rubric_id,
        pipeline=panel.pipeline,
        cases_digest=_digest(f"{one.case_id} {one.content_digest}" for one in evidence.cases),
        judgements=len(said),
        judgements_digest=_digest(
            canonical(
                [one.case_id, one.judge, one.kind, one.question, one.option, one.verdict, one.judged_at.isoformat()]
            )
            for one in said
        ),
    )


def _digest(lines: Iterable[str]) -> str:
    """Return the SHA-256 of sorted lines, in hexadecimal digits."""
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()
