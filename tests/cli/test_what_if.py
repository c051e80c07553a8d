"""`escalon what-if`, on a stream that was explored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from tests.builders import call, event, label, reply, thought, verdict
from tests.harness.audit import write
from tests.harness.commands import Escalon
from tests.harness.shop import shop

EVENTS = 60


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig, tmp_path_factory: pytest.TempPathFactory) -> ClickHouseConfig:
    version = shop(tmp_path_factory.mktemp("shop")).workers["answer"].version
    messages: list[Any] = []
    for number in range(EVENTS):
        of = event(f"e{number:02}", f"order {number}", hour=number)
        sure, asked = number % 3 != 0, number % 2 == 0
        score = 0.9 if sure else 0.5
        more: dict[str, Any] = {"propensity": 0.5, "explored": asked} if sure else {"decision": "escalated"}
        said = reply({"number": "7"}, score)
        messages += [
            verdict(of),
            call(of, handler_version=version, response=said, raw_confidence=score, confidence=score, **more),
            label(of, "7" if number % 5 else "8"),
        ]
        if not sure or asked:
            messages.append(thought(of, {"number": "7"}, decision="explored" if sure else "accepted"))
    write(config, *messages)
    return config


def test_it_estimates_the_effect_of_a_higher_threshold(escalon: Escalon) -> None:
    done = escalon("what-if", "--set", "workers.answer.threshold=0.95")
    assert (done.code, done.err) == (0, "")
    assert "60 events, 95 % intervals, right according to labels" in done.out
    assert "From worker to reasoner: 40 events." in done.out
    assert "The reasoner's answer is not recorded for 20 events" in done.out
    assert "An event costs" in done.out
    assert "60 events are labelled." in done.out
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_for_programs_it_prints_one_json_document(escalon: Escalon) -> None:
    done = escalon("what-if", "--set", "workers.answer.threshold=0.4", "--labels", "reasoner", "--json")
    document = json.loads(done.stdout)
    assert document["settings"] == ["workers.answer.threshold=0.4"]
    assert document["counts"]["flips"] == [["reasoner", "worker", 20]]
    assert document["accuracy"]["difference"]["value"] == pytest.approx(0.0)
    assert document["reasoner_share"]["then"]["value"] == pytest.approx(0.5)
    assert document["sentence"].startswith("An event costs")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing is set"),
        (("--set", "workers.answer.threshold=2"), "not a number from 0 to 1"),
        (("--set", "workers.answer.prompt=x.j2"), "escalon replay"),
        (("--set", "workers.answer.threshold=0.9", "--labels", "nobody"), "Use people or reasoner"),
        (("--set", "workers.answer.threshold=0.9", "--run", "nowhere"), "0 events that the change concerns"),
        (("--set", "workers.answer.threshold=0.9", "--since", "yesterday"), "is not a time"),
    ],
)
def test_a_wrong_question_ends_in_a_message_and_not_in_a_traceback(
    escalon: Escalon, arguments: tuple[str, ...], words: str
) -> None:
    done = escalon("what-if", *arguments)
    assert done.code == 2
    assert words in done.err
