"""A recorded model that judges: a cassette with its reply to each showing of a case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streams.core.errors import ModelError
from streams.core.messages import PanelCase
from streams.models.providers.cassette import cassette_line
from streams.models.providers.protocol import ModelReply, ModelRequest
from streams.panels.content import CaseContent
from streams.panels.judge.handler import judge_handler, task_of
from streams.panels.rubric import Rubric, read_rubric
from streams.pipeline.load import Pipeline
from tests.harness.panels import RUBRIC, answer, case
from tests.harness.shop import PIPELINE, shop

MODEL = "judge-model"
DESK: Rubric = read_rubric(RUBRIC)
SURE = {"reason": "It says so.", "right": {"A": "yes", "B": "no"}, "tone": {"A": "3", "B": "1"}, "better": "A"}
"""A reply about a pair that finds the first answer better."""
ALONE = {"reason": "It says so.", "right": "yes", "tone": "2"}
"""A reply about a single answer."""


def judges_shop(directory: Path) -> Pipeline:
    """The shop with a recorded judge at the price of a listed model, and a local one without a price."""
    models = f"""
[models.judge]
provider = "recorded"
model = "{MODEL}"
cassette = "judge.jsonl"
priced_as = "claude-haiku-4-5"

[listeners.rules]
"""
    return shop(directory, PIPELINE.replace("\n[listeners.rules]\n", models, 1))


def pair(position: int, left: str = "worker", **more: Any) -> PanelCase:
    """A case with the worker's and the reasoner's answer."""
    return case(position, answer("worker", delivered=False), answer("reasoner"), left=left, **more)


def content(of: PanelCase, **more: Any) -> CaseContent:
    """The content of a case; each answer is `says` with its option's name."""
    usual: dict[str, Any] = {"text": f"question {of.case_id}", "data": "", "image": None}
    answers = {one.option: f"says {one.option}" for one in of.answers}
    return CaseContent(answers=answers, **usual | more)


def request(pipeline: Pipeline, shown: CaseContent, order: tuple[str, ...]) -> ModelRequest:
    """The request by which the recorded judge is asked about a case."""
    handler = judge_handler(pipeline, "judge", DESK, pair=len(order) > 1)
    assert handler.prompting is not None
    task = task_of(shown, order)
    variables = {"text": task.text, "data": task.data, "knowledge": handler.prompting.knowledge}
    system, prompt = handler.prompting.template.render(variables)
    return ModelRequest(
        model=MODEL, system=system, prompt=prompt, max_tokens=handler.prompts.max_tokens,
        schema=handler.prompting.contract.wire_schema,
    )  # fmt: skip


def replied(said: Mapping[str, Any] | str, output_tokens: int = 50) -> ModelReply:
    """A reply to 100 input tokens."""
    text = said if isinstance(said, str) else json.dumps({"answer": said})
    return ModelReply(
        text=text, model=MODEL, stop_reason="end_turn", input_tokens=100, output_tokens=output_tokens,
        cache_read_tokens=0, cache_write_tokens=0,
    )  # fmt: skip


def record(pipeline: Pipeline, *said: tuple[ModelRequest, ModelReply | ModelError]) -> None:
    """Write the judge's cassette."""
    lines = [cassette_line(asked, answered, 0.0) for asked, answered in said]
    (pipeline.path.parent / "judge.jsonl").write_text("".join(lines), "utf-8")
