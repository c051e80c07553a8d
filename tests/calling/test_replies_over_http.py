"""A reply's end, its stated confidence and its id, through the stages with the real SDK over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import event
from tests.harness.fakes.messages_outcomes import Answer
from tests.harness.over_http import ALONE, house, with_options

PROMPT = "{% block system %}Be brief.{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}"
PLAIN = ALONE.replace('task = "answer"', 'prompt = "plain.j2"\nrefusal = "none"')


@pytest.mark.parametrize("end", ["max_tokens", "model_context_window_exceeded", "pause_turn", "END_TURN", "never seen"])
async def test_a_plain_reply_that_is_not_whole_is_not_an_answer(tmp_path: Path, end: str) -> None:
    (tmp_path / "plain.j2").write_text(PROMPT)
    async with house(tmp_path, lambda _: Answer("The shop opens at", stop_reason=end), PLAIN) as here:
        await here.take(event("e1", "when?"))
        (call,) = (one for one in here.calls if one.tier == "worker")
        assert (call.status, call.error_type, call.finish_reason) == ("invalid", "truncated", end)
        assert here.states() == {"e1": "failed"}


@pytest.mark.parametrize("stated", [35, 2, -0.1, "0.9", True, None])
async def test_a_stated_confidence_that_is_not_a_probability_is_never_enough(tmp_path: Path, stated: object) -> None:
    text = with_options(ALONE, workers_answer='confidence = "verbalized"\nthreshold = 0.7')
    said = json.dumps({"answer": {"reply": "at nine"}, "confidence": stated})
    async with house(tmp_path, lambda _: Answer(said), text) as here:
        await here.take(event("e1", "when?"))
        (call,) = (one for one in here.calls if one.tier == "worker")
        assert (call.status, call.confidence, call.decision) == ("answered", None, "failed")
        assert here.states() == {"e1": "failed"}


async def test_a_call_is_recorded_with_the_id_of_the_message(tmp_path: Path) -> None:
    said = json.dumps({"answer": {"reply": "at nine"}})
    async with house(tmp_path, lambda _: Answer(said), ALONE) as here:
        await here.take(event("e1", "when?"))
        (call,) = (one for one in here.calls if one.tier == "worker")
        assert call.response_id is not None
        assert call.response_id.startswith("msg_")
