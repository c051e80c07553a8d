"""A panel's population: the tasks of a run with an answered outcome, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from streams.core.messages import PanelAnswer, Tier
from streams.core.time_range import EARLIEST, LATEST

OUTCOME: Final = "outcome"
"""The option of a panel that compares nothing: the answer that left the stream."""
TIERS: Final[tuple[Tier, ...]] = ("worker", "reasoner")
"""The tiers whose answers people judge, and the options of a panel that compares them."""
WhyExcluded = Literal["erased", "without content", "without a readable answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationScope:
    """The outcomes to judge: of `run`, from `since` until before `until`.

    `options` is `outcome` alone, `worker` and `reasoner`, or two runs, of which the first is `run`.
    """

    run: str
    options: tuple[str, ...] = (OUTCOME,)
    since: datetime = EARLIEST
    until: datetime = LATEST

    @property
    def other_run(self) -> str:
        """The run that is compared with `run`; empty if none is."""
        return self.options[1] if len(self.options) == 2 and self.options[0] == self.run else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationTask:
    """One task: its oldest event, and what is known about its answers before a person judges them.

    `confidence` is that of the delivered answer. `distance` is between the worker's confidence and its threshold.
    """

    event_id: str
    event_time: datetime
    task: str
    intent: str
    tier: Tier
    handler: str
    answers: tuple[PanelAnswer, ...]
    confidence: float | None = None
    distance: float | None = None
    tiers_disagree: bool = False
    runs_disagree: bool = False
    refused_needlessly: bool = False
    """The worker refused, and the reasoner answered."""
    usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentHistory:
    """The first time that an intent occurred in a run, and the number of its events."""

    first: datetime
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """All tasks to draw from, oldest first. `excluded` counts answered events that no person can judge, by reason."""

    scope: PopulationScope
    tasks: Sequence[PopulationTask]
    intents: Mapping[str, IntentHistory]
    excluded: Mapping[WhyExcluded, int] = field(default_factory=dict)
