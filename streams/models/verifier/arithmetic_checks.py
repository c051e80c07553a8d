"""Checks of the arithmetic in an answer: is it right, and does it use what the task gives?"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from streams.models.verifier.arithmetic import Equation, equations
from streams.models.verifier.expressions import MAX_TEXT, numbers
from streams.models.verifier.quantities import canonical, quantities

NAMES = (
    "equations", "broken", "broken_share", "unit_slips", "whole_slips", "worst_error", "first_broken", "last_broken",
    "plus", "minus", "times", "divided", "longest", "cue_plus", "cue_minus", "cue_times", "cue_divided", "cue_percent",
    "task_numbers", "used_share", "unused", "operand_share", "overused",
    "unsupported", "unsupported_share", "unsupported_last", "reused_results", "dangling_results", "steps_per_number",
    "final_last_result", "final_result", "final_task", "final_whole", "final_negative", "final_size", "final_ratio",
    "final_small", "final_repeated",
)  # fmt: skip
_OPERATORS = {"plus": "+", "minus": "-", "times": "*", "divided": "/"}
_CONSTANTS = (0.0, 1.0, 2.0, 7.0, 12.0, 24.0, 30.0, 52.0, 60.0, 100.0, 365.0, 1000.0, 3600.0)
"""Numbers that an answer may introduce: small counts, the calendar, the clock, percent and thousands."""
_CONVERSIONS = (3.0, 4.0, 7.0, 10.0, 12.0, 16.0, 24.0, 30.0, 36.0, 52.0, 60.0, 100.0, 365.0, 1000.0, 3600.0)
"""Factors between common units, by which the sides of `2 hours = 120 minutes` differ."""
_CUES = {
    "plus": re.compile(r"\b(total|altogether|combined|together|sum|in all|more than|older)\b", re.I),
    "minus": re.compile(r"\b(left|remain\w*|rest|difference|fewer|less|younger|after|change)\b", re.I),
    "times": re.compile(r"\b(each|every|per|times|twice|double|triple)\b", re.I),
    "divided": re.compile(r"\b(half|quarter|third|split|shared?|equally|divided?|average|halves)\b", re.I),
}
_NEGATIVE = re.compile(r"-\s*[$€£]?\s*[\d.,]+\D*$")


def arithmetic_features(task: str, answer: str) -> dict[str, float]:
    """Return the features NAMES of an answer that is not empty.

    Counts are counts, shares lie in 0..1, sizes are natural logarithms; without an equation or a number the features
    about them are 0. An equation is a slip of units or of rounding to whole numbers when that alone explains it, and
    otherwise broken. A number is unsupported when it comes neither from the task, nor from an earlier equation, nor
    from percent of the task's numbers, nor is one of a few constants.
    """
    found = equations(answer)
    steps = [_Step.of(equation) for equation in found]
    given, digits = _canonical(quantities(task)), set(_canonical(numbers(task)))
    return {
        **_correctness(found),
        **_operations(found, task),
        **_use(steps, given, digits, set(_canonical(quantities(answer)))),
        **_provenance(steps, given),
        **_conclusion(steps, digits, answer),
    }


@dataclass(frozen=True, slots=True)
class _Step:
    """An equation with canonical numbers, which can be looked up."""

    left: float
    right: float
    operands: tuple[float, ...]

    @classmethod
    def of(cls, equation: Equation) -> Self:
        return cls(canonical(equation.left), canonical(equation.right), tuple(_canonical(equation.operands)))


def _canonical(values: Iterable[float]) -> list[float]:
    return [canonical(value) for value in values]


def _correctness(found: Sequence[Equation]) -> dict[str, float]:
    slips = [_slip(equation) for equation in found]
    broken = [equation for equation, slip in zip(found, slips, strict=True) if slip == "broken"]
    return {
        "equations": len(found),
        "broken": len(broken),
        "broken_share": len(broken) / (len(found) + 1),
        "unit_slips": slips.count("unit"),
        "whole_slips": slips.count("whole"),
        "worst_error": max((equation.error for equation in broken), default=0.0),
        "first_broken": 1.0 - slips.index("broken") / len(slips) if broken else 0.0,
        "last_broken": float(slips[-1:] == ["broken"]),
    }


def _slip(equation: Equation) -> str:
    """Return the kind of an equation's error: empty for none, a unit, rounding to a whole number, or broken."""
    if equation.holds:
        return ""
    if equation.left and equation.right:
        ratio = abs(equation.left / equation.right)
        if any(math.isclose(max(ratio, 1.0 / ratio), factor, rel_tol=1e-6) for factor in _CONVERSIONS):
            return "unit"
    whole = abs(equation.left - equation.right) < 1.0 and equation.right == round(equation.right)
    return "whole" if whole else "broken"


def _operations(found: Sequence[Equation], task: str) -> dict[str, float]:
    """Count the operators, and the operations that the task's words ask for and the answer lacks."""
    counts = Counter("".join(equation.operators for equation in found))
    operands = [value for equation in found for value in equation.operands]
    percent = "%" in task and not any(0.0 < value < 1.0 or value == 100.0 for value in operands)
    cues = {
        f"cue_{name}": float(bool(cue.search(task)) and not counts[_OPERATORS[name]]) for name, cue in _CUES.items()
    }
    longest = max((len(equation.operators) for equation in found), default=0)
    return {
        **{name: counts[mark] for name, mark in _OPERATORS.items()},
        **cues,
        "cue_percent": float(percent),
        "longest": longest,
    }


def _use(steps: Sequence[_Step], given: Sequence[float], digits: set[float], spoken: set[float]) -> dict[str, float]:
    """Count the task's numbers that the answer uses."""
    left_out = len(digits - spoken)
    counts = Counter(given)
    operands = {value for step in steps for value in step.operands}
    most: dict[float, int] = {}
    for step in steps:
        for value, times in Counter(step.operands).items():
            most[value] = max(times, most.get(value, 0))
    own = counts.keys() - {step.right for step in steps}
    return {
        "task_numbers": len(given),
        "used_share": 1.0 - left_out / len(digits) if digits else 1.0,
        "unused": left_out,
        "operand_share": len(counts.keys() & operands) / len(counts) if counts else 1.0,
        "overused": sum(max(0, most.get(value, 0) - counts[value]) for value in own),
    }


def _provenance(steps: Sequence[_Step], given: Sequence[float]) -> dict[str, float]:
    """Count the operands by origin, and the results that are used again."""
    known = {*given, *_CONSTANTS, *_canonical(_percent_forms(given))}
    unsupported: list[float] = []
    results: set[float] = set()
    reused: set[float] = set()
    last = 0.0
    for step in steps:
        new = [value for value in step.operands if value not in known]
        unsupported += new
        last = float(bool(new))
        reused |= results.intersection(step.operands)
        known |= {step.left, step.right, *step.operands}
        results.add(step.right)
    return {
        "unsupported": len(set(unsupported)),
        "unsupported_share": len(unsupported) / (sum(len(step.operands) for step in steps) + 1),
        "unsupported_last": last,
        "reused_results": len(reused),
        "dangling_results": len(results - reused),
        "steps_per_number": len(results) / (len(given) + 1),
    }


def _percent_forms(given: Sequence[float]) -> list[float]:
    """Return the values of a number p read as a percentage: p/100, 1 - p/100, 1 + p/100, 100 - p."""
    return [form for p in given for form in (p / 100, 1 - p / 100, 1 + p / 100, 100 - p)]


def _conclusion(steps: Sequence[_Step], digits: set[float], answer: str) -> dict[str, float]:
    """Describe the last number of the answer, which is taken as its result."""
    spoken = _canonical(numbers(answer))
    if not spoken:
        return {name: 0.0 for name in NAMES if name.startswith("final_")}
    final = spoken[-1]
    return {
        "final_last_result": float(bool(steps) and final == steps[-1].right),
        "final_result": float(final in {step.right for step in steps}),
        "final_task": float(final in digits),
        "final_whole": float(final == round(final)),
        "final_negative": float(bool(_NEGATIVE.search(answer[:MAX_TEXT].rstrip()[-100:]))),
        "final_size": math.log1p(final),
        "final_ratio": math.log((final + 1.0) / (max(digits, default=0.0) + 1.0)),
        "final_small": float(bool(digits) and final < min(digits)),
        "final_repeated": spoken.count(final),
    }
