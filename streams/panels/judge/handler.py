"""The handler by which a model judges cases: its prompt of the rubric, and the contract of its reply."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.core.fingerprint import digest
from streams.core.reply_contract import Contract, object_schema
from streams.panels.content import CaseContent
from streams.panels.rubric import Question, Rubric
from streams.pipeline.files import PipelineFiles
from streams.pipeline.handlers import Handler, Prompting
from streams.pipeline.load import Pipeline
from streams.pipeline.problems import known
from streams.pipeline.spec import ReasonerSpec
from streams.pipeline.template import PromptTemplate
from streams.pipeline.thinking import with_max_tokens

SIDES: Final = ("A", "B")
"""The names of the two answers of a case: A is the left or first one, as on a rater's page."""
REASON: Final = "reason"
"""The key under which the model says why, before its verdicts."""
CONCURRENCY: Final = 8
"""Calls at once; the model's own limits may allow fewer."""
_TEMPLATE: Final = "judge.j2"


def judge_handler(pipeline: Pipeline, model: str, rubric: Rubric, *, pair: bool) -> Handler:
    """Return the handler that judges one answer, or a pair of answers, by a rubric.

    `model` is a key of the file's [models]. Raises ConfigError if there is none of that name.
    """
    if model not in pipeline.spec.models:
        what = f"the pipeline has no model {model!r}."
        raise ConfigError(what, known(pipeline.spec.models, "[models.NAME]"), "model")
    spec = pipeline.spec.models[model]
    options = {"model": model, "prompt": _TEMPLATE, "refusal": "none", "cache": "off", "concurrency": CONCURRENCY}
    item = with_max_tokens(ReasonerSpec.model_validate(options), spec, PipelineFiles(pipeline.path.parent))
    source = files("streams.panels.judge").joinpath(_TEMPLATE).read_text("utf-8")
    contract = Contract(schema=_schema(rubric, pair=pair))
    prompting = Prompting(
        model_key=model,
        template=PromptTemplate(source, _TEMPLATE, "model"),
        contract=contract,
        knowledge=_instructions(rubric, pair=pair),
    )
    parts = (spec.model, source, json.dumps(contract.wire_schema), prompting.knowledge, str(item.max_tokens))
    return Handler(name=model, tier="judge", spec=item, version=digest("judge", *parts), prompting=prompting)


def asked(rubric: Rubric, *, pair: bool) -> tuple[Question, ...]:
    """Return the questions that apply to a case: one of type pick needs a pair."""
    return tuple(one for one in rubric.questions if pair or one.type != "pick")


def task_of(content: CaseContent, order: tuple[str, ...]) -> Task:
    """Return a case as the judge's task, its answers in this order of options."""
    names = ("The answer",) if len(order) == 1 else tuple(f"Answer {side}" for side in SIDES)
    answers = {name: content.answers[option] for name, option in zip(names, order, strict=True)}
    return Task(text=content.text, data={"data": content.data, "answers": answers})


def _schema(rubric: Rubric, *, pair: bool) -> dict[str, Any]:
    verdicts = {one.name: _verdict(one, pair=pair) for one in asked(rubric, pair=pair)}
    return object_schema({REASON: {"type": "string"}, **verdicts})


def _verdict(question: Question, *, pair: bool) -> dict[str, Any]:
    verdict = {"type": "string", "enum": [choice.key for choice in question.choices]}
    each = pair and question.type != "pick"
    return object_schema(dict.fromkeys(SIDES, verdict)) if each else verdict


def _instructions(rubric: Rubric, *, pair: bool) -> str:
    """Return the rubric as the model reads it, and the form of the reply."""
    questions = asked(rubric, pair=pair)
    lines = [rubric.title, rubric.instructions, "Questions:"]
    for number, one in enumerate(questions, 1):
        about = " Judge each answer by itself." if pair and one.type != "pick" else ""
        lines.append(f"{number}. {one.name}: {one.ask}{about} {one.explanation}".rstrip())
        lines += [f"   {choice.key}: {choice.words}" for choice in one.choices if choice.key != choice.words.lower()]
    form = {REASON: "one or two sentences", **{one.name: _form(one, pair=pair) for one in questions}}
    lines.append(f"Reply with JSON only: {json.dumps({'answer': form}, ensure_ascii=False)}")
    return "\n".join(line for line in lines if line)


def _form(question: Question, *, pair: bool) -> Any:
    keys = "|".join(choice.key for choice in question.choices)
    return dict.fromkeys(SIDES, keys) if pair and question.type != "pick" else keys
