"""The listeners that are plain code."""

from __future__ import annotations

import json
from typing import Any

from streams.models.rules import RuleSet
from streams.pipeline.handlers import Handler
from streams.pipeline.spec import ClassifierListener, RulesListener
from streams.stages.light import ClassifierAsker, RulesAsker
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
