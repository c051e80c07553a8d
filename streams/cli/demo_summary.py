"""The end of the demo: what happened in three sentences, the events worth opening, and two tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from streams.cli.console import out, table, usd
from streams.demo.results import DemoResult
from streams.demo.stories import stories
from streams.pipeline.code import SETTING

JUDGED = ("right", "wrong")


def print_summary(results: Sequence[DemoResult], money: dict[str, Any], pipeline: str) -> None:
    """Print the summary of a run: `money` is the row of the named query, `pipeline` the file as a shell reads it."""
    out.print()
    for sentence in (_events(results), _answers(results), _money(money)):
        out.print(sentence, highlight=False)
    out.print("\n[bold]Worth opening[/bold], once the shell allows the demo's own functions:")
    out.print(f"  export {SETTING}=desk\n", style="cyan", highlight=False)
    for story in stories(results):
        out.print(f"  {story.line}", highlight=False)
        out.print(f"    escalon trace {story.event_id} -p {pipeline}", style="cyan", highlight=False, soft_wrap=True)
    out.print()
    out.print(_table_of_answers(results))
    wrong = [one.event_id for one in results if one.judgement in ("wrong", "refused needlessly", "missed")]
    if wrong:
        out.print(f"Not right: {', '.join(wrong)}", style="yellow", highlight=False)


def _events(results: Sequence[DemoResult]) -> str:
    states = Counter(one.state for one in results)
    filed = sum(one.state == "answered" and one.judgement == "nothing to judge" for one in results)
    parts = (
        f"{states['answered']} were answered ({filed} of them by filing a photo)",
        f"{states['ignored']} needed no answer",
        f"{states['duplicate']} were photos seen before",
        f"{states['failed']} were left to people",
    )
    return f"{len(results)} events came in by mail, chat and image: {', '.join(parts)}."


def _answers(results: Sequence[DemoResult]) -> str:
    workers, reasoners = (_share(results, tier) for tier in ("worker", "reasoner"))
    right, answers = workers[0] + reasoners[0], workers[1] + reasoners[1]
    refused = Counter(one.judgement for one in results)
    needless = refused["refused needlessly"]
    return (
        f"{right} of the {answers} answers are right by the demo's truth file: "
        f"{workers[0]} of {workers[1]} by workers, {reasoners[0]} of {reasoners[1]} by reasoners; "
        f"{refused['refused rightly']} of {refused['refused rightly'] + needless} refusals are right."
    )


def _share(results: Sequence[DemoResult], tier: str) -> tuple[int, int]:
    judged = [one for one in results if one.outcome["tier"] == tier and one.judgement in JUDGED]
    return sum(one.judgement == "right" for one in judged), len(judged)


def _money(money: dict[str, Any]) -> str:
    spent, everything = money["tiered_usd"], money["all_reasoner_usd"]
    if spent is None or everything is None:
        return "What it cost is not known, because a model has no price."
    return (
        f"At list prices of the models that they stand for, the events of this audit cost {usd(spent)}; "
        f"with the reasoner alone they would have cost {usd(everything)}."
    )


def _table_of_answers(results: Sequence[DemoResult]) -> Any:
    """One row a handler: whether what it ended is right. Photos are filed by plain code, without a right or wrong."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for one in results:
        if one.judgement in (*JUDGED, "refused rightly", "refused needlessly"):
            key = (one.outcome["tier"], one.outcome["handler"])
            counts.setdefault(key, Counter())[one.judgement] += 1
    columns = ("tier", "handler", "right", "wrong", "refused rightly", "needlessly")
    names = ("right", "wrong", "refused rightly", "refused needlessly")
    rows = [(*key, *(counts[key][name] for name in names)) for key in sorted(counts, reverse=True)]
    return table(columns, rows, "Answers and refusals, by the demo's truth file")
