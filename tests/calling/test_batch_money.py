"""The audit's cost of calls in a batch equals half of what the fake provider's books say, to the last digit."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

from streams.batching.replies import reply_to
from streams.batching.waiting import Waiting
from streams.calling.chain import LimitedBackend, chain
from streams.calling.prompted import PromptedModel
from streams.calling.task import Task, task_of
from streams.core.messages import Call, Verdict
from streams.models.providers.batches import BatchRequest
from streams.models.providers.claude_batches import ClaudeBatches
from streams.models.providers.protocol import ImagePart
from streams.stages.work import work
from tests.harness.drawn_images import photo
from tests.harness.fakes.books import total
from tests.harness.fakes.messages_batches import BatchesServer
from tests.harness.fakes.messages_images import images_of
from tests.harness.fakes.messages_outcomes import Answer
from tests.harness.fakes.messages_thread import MessagesThread
from tests.harness.fakes.model import FakeModel
from tests.harness.stages import PIPELINE, START, event, model_error, office, verdict, with_records

FILE = PIPELINE.replace("[workers.answer]", '[workers.answer]\nbatch = "1h"').replace(
    "[models.m]", '[models.m]\npriced_as = "claude-haiku-4-5"'
)
SIZES: Mapping[str, tuple[int, int]] = {"short": (900, 40), "large": (150_000, 333)}
CACHES = {"none": (0, 0), "read": (777, 0), "written": (0, 555), "both": (1234, 99)}
ENDS = ("answered", "refused before output", "refused after output", "broken")
THOUGHTS: Mapping[str, str] = {"none": "", "some": "Let me see. " * 5}
IMAGES = ("none", "photo")
CASES = [*itertools.product(SIZES, CACHES, ENDS, THOUGHTS, IMAGES)]


def answer(body: Mapping[str, Any]) -> Answer:
    """The case whose number the prompt ends with."""
    content = body["messages"][0]["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    number = next(part for part in text.split() if part.startswith("case-"))
    size, cache, end, thought, image = CASES[int(number.removeprefix("case-"))]
    assert len(images_of(body)) == (image == "photo")
    (tokens_in, out), (read, written) = SIZES[size], CACHES[cache]
    refused = end.startswith("refused")
    said = {"answered": '{"outcome": {"answer": {"reply": "yes"}}}', "broken": "{"}.get(end, "")
    return Answer(
        said or ("Well" if end == "refused after output" else ""),
        stop_reason="refusal" if refused else "end_turn",
        thinking=THOUGHTS[thought],
        input_tokens=tokens_in,
        output_tokens=out,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


async def test_the_cost_of_each_case_is_half_of_the_books(tmp_path: Path) -> None:
    plain = office(tmp_path, FILE)
    here = with_records(plain, prices=plain.pipeline.prices)
    handler = here.pipeline.workers["answer"]
    assert handler.prompting is not None
    callee = dataclasses.replace(here.backends["answer"].callee, priced_as="claude-haiku-4-5")
    model = PromptedModel(
        callee=callee, prompting=handler.prompting, language_model=FakeModel(model_error()), show=shown
    )
    caller = chain(LimitedBackend(backend=model), dataclasses.replace(here.services, batches=True))
    tasks = [
        verdict(
            event(f"e{case}", f"What of case-{case} ?", image="5e" * 32 if image == "photo" else None),
            "answer",
            "question",
        )
        for case, (*_, image) in enumerate(CASES)
    ]
    with MessagesThread(answer, BatchesServer) as thread, closing(ClaudeBatches("sk-key", thread.url)) as batches:
        requests = []
        for case, one in enumerate(tasks):
            asked = await model.request(_task(one))
            requests.append(BatchRequest(f"x-{case}", dataclasses.replace(asked, model="claude-haiku-4-5")))
        status = batches.status(batches.create("x", requests).batch_id)
        items = {item.custom_id: item for item in batches.results(status.batch_id)}
        assert isinstance(thread.server, BatchesServer)
        books = thread.server.batch_books
    assert len(books) == len(CASES)
    for case, one in enumerate(tasks):
        waiting = Waiting(offset=case, task=one, queued_at=START, question=None)
        reply = dataclasses.replace(reply_to(waiting, items[f"x-{case}"], status), handler_version=handler.version)
        made = await work(
            dataclasses.replace(one, batch_reply=reply),
            START,
            here.pipeline,
            {"answer": caller},
            here.records,
            {},
            None,
        )
        (call,) = (message for message in made if isinstance(message, Call))
        assert call.cost_usd is not None, CASES[case]
        assert Fraction(call.cost_usd) == total([books[case]], here.pipeline.prices) / 2, CASES[case]
        assert call.batch_id == status.batch_id


def _task(one: Verdict) -> Task:
    return task_of(one.event, ("text", "image"))


async def shown(sha256: str) -> ImagePart:
    return ImagePart(sha256, "image/jpeg", photo())
