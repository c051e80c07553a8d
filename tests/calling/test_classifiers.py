"""The listeners that are plain code."""

from __future__ import annotations

import json
from typing import Any

from streams.calling.caller import Callee
from streams.calling.classifiers import ClassifierBackend, RouterBackend, RulesBackend
from streams.calling.concurrency import Batched
from streams.calling.task import Task
from streams.models.listeners.router import Routing
from streams.models.listeners.rules import RuleSet
from streams.pipeline.handlers import Handler
from streams.pipeline.spec import ClassifierListener, ListenerSpec, RouterListener, RulesListener
from tests.harness.stages import confidence_of

RULES = {"nothing": ("^thanks$",), "order": ("order",)}


class FakeClassifier:
    """Always as sure; remembers the texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def predict(self, texts: list[str]) -> list[list[tuple[str, float]]]:
        """The labels, the most probable first."""
        self.texts += texts
        return [[("order", 0.75), ("question", 0.25)] for _ in texts]


def callee(spec: ListenerSpec, model: str) -> Callee:
    handler = Handler(name="listener", tier="listener", spec=spec, version="v")
    return Callee(handler=handler, operation="classify", provider="escalon", model=model, free=True)


def classifier_backend(classifier: Any) -> ClassifierBackend:
    spec = ClassifierListener.model_validate({"kind": "classifier", "artifact": "x.npz"})
    return ClassifierBackend(callee=callee(spec, "wordllama"), predict=Batched(classifier.predict))


class FakeRouter:
    """Always finds the same route; remembers what it is asked about."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def route(self, text: str, data: Any) -> Routing:
        """A worker, and the scores of all targets."""
        self.asked.append((text, data))
        return Routing("workers.answer", 0.75, {"workers.answer": 0.75, "none": 0.12345678})


def router_backend(router: Any) -> RouterBackend:
    spec = RouterListener.model_validate({"kind": "router", "artifact": "router.zip"})
    return RouterBackend(callee=callee(spec, "router"), router=router)


def rules_backend() -> RulesBackend:
    spec = RulesListener.model_validate({"kind": "rules", "rules": RULES})
    return RulesBackend(callee=callee(spec, "re"), rules=RuleSet(RULES))


async def test_the_classifier_gives_its_label_its_confidence_and_all_scores() -> None:
    said = await classifier_backend(FakeClassifier()).ask(Task(text="my order"))
    expected = {"label": "order", "confidence": 0.75, "scores": {"order": 0.75, "question": 0.25}}
    assert json.loads(said.reading.answer or "") == expected
    assert (confidence_of(said), said.prompt) == (0.75, "my order")


async def test_of_an_event_without_text_the_classifier_reads_the_data_and_the_record_shows_it() -> None:
    classifier = FakeClassifier()
    said = await classifier_backend(classifier).ask(Task(data={"subject": "Füße"}))
    assert classifier.texts == [said.prompt] == ['{"subject": "Füße"}']


async def test_the_first_rule_that_matches_is_found_with_the_words() -> None:
    said = await rules_backend().ask(Task(text="My order?"))
    assert json.loads(said.reading.answer or "") == {"label": "order", "confidence": 1.0, "matched": "order"}
    assert confidence_of(said) == 1.0


async def test_when_no_rule_matches_nothing_is_found() -> None:
    said = await rules_backend().ask(Task(text="hello"))
    assert json.loads(said.reading.answer or "") == {"label": None}
    assert (said.reading.status, confidence_of(said)) == ("answered", None)


async def test_rules_look_at_every_string_of_the_data_as_well() -> None:
    said = await rules_backend().ask(Task(data={"n": 1, "notes": [{"a": ["My order"]}, None]}))
    assert json.loads(said.reading.answer or "") == {"label": "order", "confidence": 1.0, "matched": "order"}
    assert said.prompt == "n\nnotes\na\nMy order"
    said = await rules_backend().ask(Task(data={"order": 1}))
    assert json.loads(said.reading.answer or "")["label"] == "order"


async def test_the_first_label_of_the_table_is_found_wherever_it_matched() -> None:
    said = await rules_backend().ask(Task(text="order", data={"a": "b"}))
    assert json.loads(said.reading.answer or "")["label"] == "order"
    said = await rules_backend().ask(Task(text="thanks", data={"a": "my order"}))
    assert json.loads(said.reading.answer or "")["label"] == "nothing"


def test_rules_see_the_text_alone_unless_the_file_says_otherwise() -> None:
    assert rules_backend().callee.handler.inputs == ("text",)


async def test_the_router_gives_its_route_how_good_it_is_and_the_scores_of_the_others() -> None:
    said = await router_backend(FakeRouter()).ask(Task(text="my order"))
    scores = {"workers.answer": 0.75, "none": 0.123457}
    assert json.loads(said.reading.answer or "") == {"label": "workers.answer", "confidence": 0.75, "scores": scores}
    assert (confidence_of(said), said.prompt, said.response) == (0.75, "my order", said.reading.answer)


async def test_the_router_reads_text_and_data_and_the_record_shows_the_data_where_there_is_no_text() -> None:
    router = FakeRouter()
    said = await router_backend(router).ask(Task(data={"subject": "Füße"}))
    assert router.asked == [("", {"subject": "Füße"})]
    assert said.prompt == '{"subject": "Füße"}'
