"""The image of an event, shown to models over real HTTP."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.blobs import BlobStore
from streams.app.provider_limits import unpriced, unseen_images
from streams.core.errors import ConfigError
from streams.core.rate import RateLimit
from tests.builders import event
from tests.harness.confidence import FakeBudget
from tests.harness.drawn_images import CORNERS, corners, photo, stored_so, with_corners
from tests.harness.fakes.messages_images import image_tokens, images_of, input_tokens
from tests.harness.fakes.messages_outcomes import Answer, Outcome, Raw, refusal
from tests.harness.fakes.messages_wire import events, sse
from tests.harness.over_http import DESK, SEEING, house
from tests.harness.stages import build

SAID = json.dumps({"answer": {"reply": "a broken pole"}})
LARGE_SEES = DESK.replace('inputs = ["text"]', 'inputs = ["text", "image"]').replace(
    'provider = "claude"\nmodel = "claude-opus-4-8"', 'provider = "claude"\nimages = true\nmodel = "claude-opus-4-8"'
)
"""The reasoner's model sees images, the worker's does not."""
UNSURE = json.dumps({"refusal": {"class": "out_of_scope", "reason": "a photo"}})


@dataclass
class Provider:
    """Answers each request, and keeps the bodies."""

    said: str = SAID
    bodies: list[Mapping[str, Any]] = field(default_factory=list)

    def __call__(self, body: Mapping[str, Any]) -> Outcome:
        """The answer."""
        self.bodies.append(body)
        return Answer(self.said)


def stored(directory: Path, data: bytes) -> str:
    return BlobStore(f"file://{directory / 'blobs'}").put(data)


async def test_a_worker_that_sees_is_shown_the_photo_of_12_megapixels_upright(tmp_path: Path) -> None:
    from PIL import Image

    data = stored_so(with_corners(3000, 4000).transpose(Image.Transpose.ROTATE_90), 6)
    sha, provider = stored(tmp_path, data), Provider()
    async with house(tmp_path, provider, SEEING) as here:
        await here.take(event("e1", "what is wrong with my tent?", image=sha))
        ((content,),) = [[one["content"] for one in body["messages"]] for body in provider.bodies]
        assert [part["type"] for part in content] == ["image", "text"]
        assert "what is wrong with my tent?" in content[1]["text"]
        assert sha not in content[1]["text"]
        (seen,) = images_of(provider.bodies[0])
        assert corners(seen) == CORNERS
        assert (max(seen.size) <= 1568, image_tokens(seen) <= 1568) == (True, True)
        assert here.states() == {"e1": "answered"}


async def test_the_audit_has_the_images_hash_and_not_one_byte_of_it(tmp_path: Path) -> None:
    data, provider = photo(), Provider()
    sha = stored(tmp_path, data)
    async with house(tmp_path, provider, SEEING) as here:
        await here.take(event("e1", "what is it?", image=sha))
        (call,) = [one for one in here.calls if one.tier == "worker"]
        sent = provider.bodies[0]["messages"][0]["content"][0]["source"]["data"]
        assert call.prompt is not None
        assert call.prompt.startswith(f"[image {sha}]\n")
        whole = repr(dataclasses.asdict(call))
        assert sent[:40] not in whole
        assert repr(data[:8])[2:-1] not in whole


async def test_a_worker_without_vision_gets_none_and_its_reasoner_does(tmp_path: Path) -> None:
    sha, provider = stored(tmp_path, photo()), Provider(UNSURE)
    async with house(tmp_path, provider, LARGE_SEES) as here:
        await here.take(event("e1", "what is it?", image=sha))
        small, large = (body["messages"][0]["content"] for body in provider.bodies)
        assert [body["model"] for body in provider.bodies] == ["claude-haiku-4-5", "claude-opus-4-8"]
        assert isinstance(small, str)
        assert len(images_of(provider.bodies[1])) == 1
        prompts = {call.tier: call.prompt or "" for call in here.calls}
        assert (sha in prompts["worker"], sha in prompts["reasoner"]) == (False, True)
        assert large[0]["source"]["media_type"] == "image/jpeg"


@pytest.mark.parametrize("text", [DESK, SEEING.replace('"text", "image"', '"text"')], ids=["blind", "not asked for"])
async def test_an_image_that_is_not_asked_for_is_not_sent(tmp_path: Path, text: str) -> None:
    provider = Provider(UNSURE)
    async with house(tmp_path, provider, text) as here:
        await here.take(event("e1", "what is it?", image=stored(tmp_path, photo())))
        assert [type(body["messages"][0]["content"]) for body in provider.bodies] == [str, str]


async def test_an_event_without_an_image_is_asked_as_before(tmp_path: Path) -> None:
    provider = Provider()
    async with house(tmp_path, provider, SEEING) as here:
        await here.take(event("e1", "what is it?"))
        assert isinstance(provider.bodies[0]["messages"][0]["content"], str)
        assert "[image" not in next(call.prompt or "" for call in here.calls if call.tier == "worker")


LISTENER = SEEING.replace(
    "[listeners.words]",
    """[listeners.kind]
kind = "language-model"
model = "small"
labels = ["tent", "boots"]
inputs = ["text", "image"]

[listeners.words]""",
).replace("[routes]\n", '[routes]\ntent = "ignore"\nboots = "ignore"\n')


async def test_a_listener_that_sees_is_shown_the_image(tmp_path: Path) -> None:
    provider = Provider(json.dumps({"answer": "tent"}))
    async with house(tmp_path, provider, LISTENER) as here:
        await here.take(event("e1", "what is it?", image=stored(tmp_path, photo())))
        assert len(images_of(provider.bodies[0])) == 1
        assert here.states() == {"e1": "ignored"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [(None, "missing_image"), (b"\xff\xd8 broken", "not_an_image"), (b"\xff" * 20_000_001, "image_too_large")],
)
async def test_an_image_that_cannot_be_shown_ends_its_event_with_the_reason(
    tmp_path: Path, data: bytes | None, reason: str
) -> None:
    provider, budget = Provider(), FakeBudget(Decimal(1))
    sha = hashlib.sha256(b"erased").hexdigest() if data is None else stored(tmp_path, data)
    async with house(tmp_path, provider, SEEING, budget=budget) as here:
        await here.take(event("e1", "what is it?", image=sha))
        assert here.states() == {"e1": "failed"}
        assert not here.waiting
        assert provider.bodies == []
        calls = [call for call in here.calls if call.tier != "listener"]
        assert [(str(call.tier), call.error_type, call.cost_usd, call.input_tokens) for call in calls] == [
            ("worker", reason, Decimal(0), 0),
            ("reasoner", reason, Decimal(0), 0),
        ]
        assert any(reason in text for text in here.results["e1"].reasons)
        assert sum(budget.spent.values()) == 0


async def test_an_event_waits_while_its_image_cannot_be_asked_for(tmp_path: Path) -> None:
    sha, provider = stored(tmp_path, photo()), Provider()
    (tmp_path / "blobs" / sha[:2] / sha).unlink()
    (tmp_path / "blobs" / sha[:2] / sha).mkdir()  # the store answers, but not with the image
    async with house(tmp_path, provider, SEEING) as here:
        await here.take(event("e1", "what is it?", image=sha))
        assert len(here.waiting) == 1
        assert (provider.bodies, here.states()) == ([], {})


async def test_the_cost_of_an_image_is_that_of_the_tokens_in_the_providers_books(tmp_path: Path) -> None:
    provider = Provider()
    async with house(tmp_path, provider, SEEING) as here:
        await here.take(event("e1", "what is it?", image=stored(tmp_path, photo())))
        (call,) = [one for one in here.calls if one.tier == "worker"]
        body = provider.bodies[0]
        system = -(-len(body["system"][0]["text"]) // 4)
        fresh, out = input_tokens(body["messages"]), -(-len(SAID) // 4)
        (seen,) = images_of(body)
        assert fresh - image_tokens(seen) == -(-len(body["messages"][0]["content"][1]["text"]) // 4)
        assert image_tokens(seen) == 23 * 18  # 640 by 480 pixels in squares of 28
        assert call.input_tokens == fresh + system
        # claude-haiku-4-5: 1 a million tokens in, 1.25 written to the cache, 5 out
        assert call.cost_usd == (fresh * Decimal(1) + system * Decimal("1.25") + out * Decimal(5)) / 10**6


async def test_an_image_is_billed_beside_what_the_cache_read_and_not_at_all_in_a_refusal(tmp_path: Path) -> None:
    sha, answers = stored(tmp_path, photo()), deque([Answer(SAID), Answer(SAID), refusal("no", text="")])
    provider = Provider()

    def scripted(body: Mapping[str, Any]) -> Outcome:
        provider(body)
        return answers.popleft() if answers else Answer(SAID)

    async with house(tmp_path, scripted, SEEING) as here:
        await here.take(*(event(f"e{n}", f"what is it, {n}?", image=sha) for n in range(3)))
        first, second, refused = [one for one in here.calls if one.tier == "worker"]
    system = -(-len(provider.bodies[0]["system"][0]["text"]) // 4)
    fresh, out = input_tokens(provider.bodies[0]["messages"]), -(-len(SAID) // 4)
    assert (first.cache_write_tokens, second.cache_read_tokens) == (system, system)
    assert first.cost_usd == (fresh * Decimal(1) + system * Decimal("1.25") + out * Decimal(5)) / 10**6
    assert second.cost_usd == (fresh * Decimal(1) + system * Decimal("0.1") + out * Decimal(5)) / 10**6
    assert (str(refused.status), refused.input_tokens, refused.cost_usd) == ("refused", fresh + system, Decimal(0))


async def test_a_budget_counts_the_image_of_a_call_whose_provider_counts_nothing(tmp_path: Path) -> None:
    def uncounted(body: Mapping[str, Any]) -> Outcome:
        message = {"id": "m", "model": body["model"], "content": [{"type": "text", "text": SAID}], "usage": {}}
        ends = {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None}
        return Raw(b"".join(sse(one) for one in events({**message, **ends, "usage": {"output_tokens": 0}}, 16)))

    spent = []
    for image in (None, stored(tmp_path, photo())):
        budget = FakeBudget(Decimal(1))
        async with house(tmp_path, uncounted, SEEING, budget=budget) as here:
            await here.take(event("e1", "what is it?", image=image))
        spent.append(sum(budget.spent.values()))
    assert spent[1] - spent[0] >= Decimal(1568 + 70) / 10**6  # the most tokens of an image, and the line of its hash


async def test_a_rate_limit_counts_an_image_before_the_call(tmp_path: Path) -> None:
    sha, provider = stored(tmp_path, photo()), Provider()
    async with house(tmp_path, provider, SEEING, limit=RateLimit.of(None, 60_000, None)) as here:
        backend = here.providers.backend(here.pipeline.workers["answer"]).backend
        request = event("e1", "what is it?", image=sha)
        from streams.calling.task import task_of

        seen = backend.size(task_of(request, ("text", "image")))
        assert seen - backend.size(task_of(request, ("text",))) == 1568


def test_a_fallback_that_sees_no_images_is_refused_where_the_model_does(tmp_path: Path) -> None:
    text = LARGE_SEES.replace('model = "large"', 'model = "large"\nfallback = "small"')
    with pytest.raises(ConfigError, match=r"reasoners\.resolve\.fallback: 'small' sees no images") as caught:
        build(tmp_path, text)
    assert "images = true" in caught.value.remedy


def test_check_says_who_asks_for_an_image_and_is_shown_none(tmp_path: Path) -> None:
    pipeline = build(tmp_path, LARGE_SEES)
    said = list(unseen_images([*pipeline.workers.values(), *pipeline.reasoners.values()]))
    assert len(said) == 1
    assert said[0].startswith('workers.answer: "image" is in its inputs, but small is shown no images')
    assert "Set images = true in [models.small]" in said[0]
    silent = build(tmp_path, DESK.replace('inputs = ["text"]\n', ""))  # by default a handler's input is the whole event
    assert list(unseen_images([*silent.workers.values(), *silent.reasoners.values()])) == []


def test_check_says_which_model_has_no_price(tmp_path: Path) -> None:
    pipeline = build(tmp_path, DESK.replace("claude-opus-4-8", "claude-opus-9"))
    (said,) = unpriced([*pipeline.workers.values(), *pipeline.reasoners.values()], pipeline)
    assert said.startswith("models.large: the price list has no claude-opus-9")
    assert "priced_as" in said


def test_seeing_changes_a_handlers_version_and_nothing_else_does(tmp_path: Path) -> None:
    blind, able, seeing = (
        build(tmp_path, text).workers["answer"].version
        for text in (DESK, DESK.replace('"claude"\n', '"claude"\nimages = true\n'), SEEING)
    )
    asking = build(tmp_path, DESK.replace('inputs = ["text"]', 'inputs = ["text", "image"]')).workers["answer"].version
    assert blind == able
    assert len({blind, asking, seeing}) == 3
