"""The listeners that are plain code."""

from __future__ import annotations

import json
from typing import Any

from streams.models.listeners.router import Routing
from streams.models.listeners.rules import RuleSet
from streams.pipeline.handlers import Handler
from streams.pipeline.spec import ClassifierListener, RouterListener, RulesListener
from streams.stages.light import ClassifierAsker, RouterAsker, RulesAsker
from streams.stages.task import Task
from tests.stages.support import confidence_of

RULES = {"nothing": ("^thanks$",), "order": ("order",)}


class FakeClassifier:
    """Always as sure; remembers the texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def predict(self, texts: list[str]) -> list[list[tuple[str, float]]]:
        """The labels, the most probable first."""
        self.texts += texts
        return [[("order", 0.75), ("question", 0.25)] for _ in texts]


def classifier_asker(classifier: Any) -> ClassifierAsker:
    spec = ClassifierListener.model_validate({"kind": "classifier", "artifact": "x.npz"})
    return ClassifierAsker(
        handler=Handler(name="intent", tier="listener", spec=spec, version="v"),
        classifier=classifier,
        model="wordllama",
    )


class FakeRouter:
    """Always finds the same route; remembers what it is asked about."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def route(self, text: str, data: Any) -> Routing:
        """A worker, and the scores of all targets."""
        self.asked.append((text, data))
        return Routing("workers.answer", 0.75, {"workers.answer": 0.75, "none": 0.12345678})


def router_asker(router: Any) -> RouterAsker:
    spec = RouterListener.model_validate({"kind": "router", "artifact": "router.zip"})
    return RouterAsker(handler=Handler(name="route", tier="listener", spec=spec, version="v"), router=router)


def rules_asker() -> RulesAsker:
    spec = RulesListener.model_validate({"kind": "rules", "rules": RULES})
    handler = Handler(name="rules", tier="listener", spec=spec, version="v")
    return RulesAsker(handler=handler, rules=RuleSet(RULES))


async def test_the_classifier_gives_its_label_its_confidence_and_all_scores() -> None:
    asker = classifier_asker(FakeClassifier())
    async with asker.slot():
        said = await asker.ask(Task(text="my order"))
    expected = {"label": "order", "confidence": 0.75, "scores": {"order": 0.75, "question": 0.25}}
    assert json.loads(said.reading.answer or "") == expected
    assert (confidence_of(said), said.prompt) == (0.75, "my order")


async def test_of_an_event_without_text_the_classifier_reads_the_data_and_the_record_shows_it() -> None:
    classifier = FakeClassifier()
    said = await classifier_asker(classifier).ask(Task(data={"subject": "Füße"}))
    assert classifier.texts == [said.prompt] == ['{"subject": "Füße"}']


async def test_the_first_rule_that_matches_is_found_with_the_words() -> None:
    asker = rules_asker()
    async with asker.slot():
        said = await asker.ask(Task(text="My order?"))
    assert json.loads(said.reading.answer or "") == {"label": "order", "confidence": 1.0, "matched": "order"}
    assert confidence_of(said) == 1.0


async def test_when_no_rule_matches_nothing_is_found() -> None:
    said = await rules_asker().ask(Task(text="hello"))
    assert json.loads(said.reading.answer or "") == {"label": None}
    assert (said.reading.status, confidence_of(said)) == ("answered", None)


async def test_rules_look_at_every_string_of_the_data_as_well() -> None:
    said = await rules_asker().ask(Task(data={"n": 1, "notes": [{"a": ["My order"]}, None]}))
    assert json.loads(said.reading.answer or "") == {"label": "order", "confidence": 1.0, "matched": "order"}
    assert said.prompt == "n\nnotes\na\nMy order"
    said = await rules_asker().ask(Task(data={"order": 1}))
    assert json.loads(said.reading.answer or "")["label"] == "order"


async def test_the_first_label_of_the_table_is_found_wherever_it_matched() -> None:
    said = await rules_asker().ask(Task(text="order", data={"a": "b"}))
    assert json.loads(said.reading.answer or "")["label"] == "order"
    said = await rules_asker().ask(Task(text="thanks", data={"a": "my order"}))
    assert json.loads(said.reading.answer or "")["label"] == "nothing"


def test_rules_see_the_text_alone_unless_the_file_says_otherwise() -> None:
    assert rules_asker().handler.spec.inputs == ("text",)


async def test_the_router_gives_its_route_how_good_it_is_and_the_scores_of_the_others() -> None:
    asker = router_asker(FakeRouter())
    async with asker.slot():
        said = await asker.ask(Task(text="my order"))
    scores = {"workers.answer": 0.75, "none": 0.123457}
    assert json.loads(said.reading.answer or "") == {"label": "workers.answer", "confidence": 0.75, "scores": scores}
    assert (confidence_of(said), said.prompt, said.response) == (0.75, "my order", said.reading.answer)
    assert (asker.free, asker.model) == (True, "router")


async def test_the_router_reads_text_and_data_and_the_record_shows_the_data_where_there_is_no_text() -> None:
    router = FakeRouter()
    said = await router_asker(router).ask(Task(data={"subject": "Füße"}))
    assert router.asked == [("", {"subject": "Füße"})]
    assert said.prompt == '{"subject": "Füße"}'
