"""Self-consistency: ask for several samples of one task and believe what most of them say.

Wang et al. 2023, "Self-Consistency Improves Chain of Thought Reasoning in Language Models"; the share of samples that
agree as a confidence: Lin, Trivedi, Sun 2024, "Generating with Confidence".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from streams.core.answer_comparison import Agree, value_of
from streams.core.messages import Call, Score
from streams.stages.consult import consult
from streams.stages.ports import Desk
from streams.stages.question import Consultation, OutOfBudget, Question
from streams.stages.together import together

SOURCE = "self-consistency"


async def consult_samples(question: Question, desk: Desk, samples: int, agree: Agree) -> Consultation | OutOfBudget:
    """Ask `samples` times; one sample is asked plainly.

    The answer is that of the largest group whose answers agree, its earliest sample; its share of all samples is the
    confidence. Where fewer than half of the samples have an answer, the first that has none speaks for them.
    """
    if samples == 1:
        return await consult(question, desk)
    asked = [dataclasses.replace(question, sample=number) for number in range(samples)]
    done = await together(consult(one, desk) for one in asked)
    ended = [one for one in done if isinstance(one, Consultation)]
    if len(ended) < samples:
        return OutOfBudget(tuple(call for one in done for call in _sampled(one, desk)))
    answered = [one for one in ended if one.attempt.status == "answered"]
    if 2 * len(answered) < samples:
        return _spoken_for(next(one for one in ended if one.attempt.status != "answered"), ended, desk)
    group = _largest_group(answered, agree)
    speaker = _spoken_for(group[0], ended, desk)
    score = Score(label=SOURCE, probability=len(group) / samples)
    attempt = dataclasses.replace(speaker.attempt, sources=(*speaker.attempt.sources, score))
    return Consultation(attempt, speaker.calls)


def _largest_group(answered: Sequence[Consultation], agree: Agree) -> list[Consultation]:
    """The largest group around one answer, the earliest such; `agree` need not be transitive."""
    values = [value_of(one.attempt.answer or "") for one in answered]
    groups = [[other for other, value in zip(answered, values, strict=True) if agree(value, own)] for own in values]
    largest = max(range(len(groups)), key=lambda place: (len(groups[place]), -place))
    return [answered[largest], *(one for one in groups[largest] if one is not answered[largest])]


def _spoken_for(speaker: Consultation, all_of_them: Sequence[Consultation], desk: Desk) -> Consultation:
    """The speaker with everybody's calls, its own last."""
    others = tuple(call for one in all_of_them if one is not speaker for call in _sampled(one, desk))
    return Consultation(speaker.attempt, (*others, *speaker.calls))


def _sampled(one: Consultation | OutOfBudget, desk: Desk) -> tuple[Call, ...]:
    if isinstance(one, OutOfBudget):
        return one.calls
    return one.decided(desk, "sampled", "one of several samples")
