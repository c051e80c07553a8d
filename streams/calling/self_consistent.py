"""Self-consistency: ask for several samples of one task and believe what most of them say.

Wang et al. 2023, "Self-Consistency Improves Chain of Thought Reasoning in Language Models"; the share of samples that
agree as a confidence: Lin, Trivedi, Sun 2024, "Generating with Confidence".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from streams.calling.caller import CallWrapper
from streams.calling.concurrency import gather
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.core.answer_comparison import Agree, value_of
from streams.core.messages import Call, Score

SELF_CONSISTENCY = "self-consistency"
"""The source of confidence that the share of agreeing samples is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfConsistent(CallWrapper):
    """Calls for several samples of each task."""

    samples: int
    agree: Agree
    """True of two answers that say the same."""
    records: CallRecords

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the answer of the largest group whose answers agree, its earliest sample, with all calls.

        The group's share of all samples is the confidence. Where fewer than half of the samples have an answer, the
        first that has none is the outcome.
        """
        requests = [dataclasses.replace(request, sample=number) for number in range(self.samples)]
        done = await gather(self.caller.call(one) for one in requests)
        ended = [one for one in done if isinstance(one, CallOutcome)]
        if len(ended) < self.samples:
            return OutOfBudget(tuple(call for one in done for call in self._sampled(one)))
        answered = [one for one in ended if one.attempt.status == "answered"]
        if 2 * len(answered) < self.samples:
            return self._with_all(next(one for one in ended if one.attempt.status != "answered"), ended)
        group = _largest_group(answered, self.agree)
        first = self._with_all(group[0], ended)
        score = Score(label=SELF_CONSISTENCY, probability=len(group) / self.samples)
        attempt = dataclasses.replace(first.attempt, sources=(*first.attempt.sources, score))
        return dataclasses.replace(first, attempt=attempt)

    def _with_all(self, chosen: CallOutcome, outcomes: Sequence[CallOutcome]) -> CallOutcome:
        """Return one outcome with the calls of all, its own last."""
        others = tuple(call for one in outcomes if one is not chosen for call in self._sampled(one))
        return dataclasses.replace(chosen, calls=(*others, *chosen.calls))

    def _sampled(self, one: CallOutcome | OutOfBudget) -> tuple[Call, ...]:
        if isinstance(one, OutOfBudget):
            return one.calls
        return self.records.decided(one, "sampled", "one of several samples")


def _largest_group(answered: Sequence[CallOutcome], agree: Agree) -> list[CallOutcome]:
    """Return the largest group around one answer, the earliest such; `agree` need not be transitive."""
    values = [value_of(one.attempt.answer or "") for one in answered]
    groups = [[other for other, value in zip(answered, values, strict=True) if agree(value, own)] for own in values]
    largest = max(range(len(groups)), key=lambda place: (len(groups[place]), -place))
    return [answered[largest], *(one for one in groups[largest] if one is not answered[largest])]
