"""A router learnt from prior cases, and whether it is admitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.core.routing import NONE
from streams.evaluation.cases import Case
from streams.evaluation.router_training import (
    ALLOWED_LOSS,
    RoutingPolicy,
    TrainedRouter,
    answered_well,
    reasoner_outcomes,
    train_router,
)
from streams.models.listeners.router import Router
from streams.models.listeners.text_verifier import TextVerifier
from streams.models.verifier.example import Example
from tests.builders import REASONER_USD, WORKER_USD
from tests.harness.shop import case, texts

pytestmark = pytest.mark.slow  # it trains routers


def prior(count: int = 400, seed: int = 0, hopeless: float = 0.5, word: str = "why", other: str = "") -> list[Case]:
    """Events of which the worker fails those with a word, and passes them on; those with the other it does well."""
    hard = np.random.default_rng(seed + 1).random(count) < hopeless
    return [
        of(seed * count + number, f"{word if fails else other} {text}", bool(fails))
        for number, (text, fails) in enumerate(zip(texts(count, seed), hard, strict=True))
    ]


def of(number: int, text: str, fails: bool, **more: Any) -> Case:
    usual: dict[str, Any] = {
        "accepted": not fails,
        "reasoner_cost_usd": REASONER_USD if fails else None,
        "agrees": False if fails else None,
    }
    return case(number, **{"task": Task(text=text), **usual, **more})


def trained(cases: list[Case], nothing: list[Example] | None = None) -> TrainedRouter:
    return train_router(cases, nothing or [], "reasoners.think", date="2026-11-24")


@pytest.fixture(scope="module")
def good() -> TrainedRouter:
    noise = [Example(text=f"{text} 50% 60% 70%", data={}, answer=None) for text in texts(100, 9)]
    return trained(prior(), noise)


@pytest.fixture(scope="module")
def useless() -> TrainedRouter:
    return trained(prior(word=""))


def policies(made: TrainedRouter) -> dict[str, RoutingPolicy]:
    return {one.name: one for one in made.policies}


def test_a_router_that_predicts_well_is_admitted_because_it_saves_money_without_loss(good: TrainedRouter) -> None:
    by_name = policies(good)
    assert good.router.admitted
    assert by_name["router"].usd < by_name["table"].usd
    assert by_name["router"].quality >= by_name["table"].quality - ALLOWED_LOSS
    assert set(by_name) == {"table", "router", "always worker", "always reasoner"}


def test_it_spares_hopeless_events_the_worker(good: TrainedRouter) -> None:
    by_name = policies(good)
    passed_on = by_name["table"].reasoner_share
    assert by_name["table"].usd == pytest.approx(float(WORKER_USD) + passed_on * float(REASONER_USD))
    assert by_name["table"].usd - by_name["router"].usd > 0.8 * passed_on * float(WORKER_USD)
    assert by_name["always worker"].quality == pytest.approx(1 - passed_on)
    assert by_name["always reasoner"].quality == 1.0
    assert by_name["always reasoner"].usd == pytest.approx(0.02)


def test_it_sends_hopeless_events_to_the_reasoner_others_to_the_worker_and_noise_nowhere(good: TrainedRouter) -> None:
    fresh = texts(40, 77)
    hard = [good.router.route(f"why {text}", {}).label for text in fresh]
    easy = [good.router.route(f" {text}", {}).label for text in fresh]
    noise = [good.router.route(f"{text} 50% 60% 70%", {}).label for text in fresh]
    assert hard.count("reasoners.think") >= 36
    assert easy.count("workers.answer") >= 36
    assert noise.count(NONE) >= 36


def test_it_learns_words_that_no_feature_knows(tmp_path: Path) -> None:
    made = trained(prior(word="refund", other="amount"))
    made.router.save(tmp_path / "router.zip")
    router = Router.load(tmp_path / "router.zip")
    assert isinstance(router.judges["workers.answer"], TextVerifier)
    found = [router.route(f"{word} {text}", {}).label for text in texts(20, 78) for word in ("refund", "amount")]
    assert found[::2].count("reasoners.think") >= 18
    assert found[1::2].count("workers.answer") >= 18


def test_the_artifact_holds_the_comparison_it_was_admitted_by(good: TrainedRouter, tmp_path: Path) -> None:
    good.router.save(tmp_path / "router.zip")
    again = Router.load(tmp_path / "router.zip")
    assert again.comparison["policies"] == [
        {"name": one.name, "quality": one.quality, "usd": one.usd, "reasoner_share": one.reasoner_share}
        for one in good.policies
    ]
    assert again.to_bytes() == good.router.to_bytes()


def test_the_same_cases_give_the_same_router() -> None:
    cases = prior(150)
    assert trained(cases).router.to_bytes() == trained(cases).router.to_bytes()


def test_where_nothing_can_be_learnt_it_is_not_admitted_and_not_loaded(useless: TrainedRouter, tmp_path: Path) -> None:
    assert not useless.router.admitted
    useless.router.save(tmp_path / "router.zip")
    with pytest.raises(ConfigError, match=r"no better than the table.*--force"):
        Router.load(tmp_path / "router.zip")


def test_who_insists_gets_it_loaded_all_the_same(useless: TrainedRouter, tmp_path: Path) -> None:
    replace(useless.router, admitted=True).save(tmp_path / "router.zip")
    assert Router.load(tmp_path / "router.zip").threshold == useless.router.threshold


def test_luck_on_the_cases_that_chose_the_threshold_admits_no_router() -> None:
    admitted = [trained(prior(150, seed, word="")).router.admitted for seed in range(1, 9)]
    assert sum(admitted) <= 1


def test_tasks_that_come_again_count_once() -> None:
    with pytest.raises(ConfigError, match="60 prior cases are too few"):
        trained([replace(one, event_id=f"{one.event_id}-{n}") for one in prior(60) for n in range(20)])


def test_too_few_cases_to_hold_some_out_are_reported() -> None:
    with pytest.raises(ConfigError, match=r"60 prior cases are too few.*--since") as caught:
        trained(prior(60))
    assert caught.value.key == ""


def test_too_few_cases_of_one_worker_are_reported_with_its_name() -> None:
    with pytest.raises(ConfigError, match="of the worker name: "):
        trained([*prior(200), *(case(9000 + n, handler="name") for n in range(3))])


def test_without_a_price_of_the_reasoner_nothing_can_be_compared() -> None:
    with pytest.raises(ConfigError, match="no call of the reasoner has a known price"):
        trained([replace(one, reasoner_cost_usd=None) for one in prior(150)])


def test_without_a_price_of_the_worker_nothing_can_be_compared() -> None:
    with pytest.raises(ConfigError, match=r"no call of the worker answer has a known price.*priced_as"):
        trained([replace(one, cost_usd=None) for one in prior(150)])


# ---- What is known of a case ----


@pytest.mark.parametrize(
    ("known", "well"),
    [
        ({"correct": False, "agrees": True}, False),
        ({"correct": True, "agrees": False, "accepted": False}, True),
        ({"agrees": False}, False),
        ({"agrees": True, "accepted": False}, True),
        ({"accepted": True}, True),
        ({"accepted": False}, False),
    ],
)
def test_a_label_says_more_than_the_reasoner_and_the_reasoner_more_than_silence(known: Any, well: bool) -> None:
    assert answered_well(case(0, **known)) is well


def test_the_reasoner_is_known_where_it_is_known_of_every_case() -> None:
    known = [case(0, reasoner_correct=True), case(1, reasoner_correct=False)]
    assert reasoner_outcomes(known) == [True, False]
    assert reasoner_outcomes([*known, case(2)]) is None


def test_where_the_reasoner_was_not_asked_it_counts_as_right_as_often_as_elsewhere() -> None:
    cases = [replace(one, reasoner_correct=n % 4 != 0) if not one.accepted else one for n, one in enumerate(prior())]
    always = policies(trained(cases))["always reasoner"]
    assert 0.6 < always.quality < 0.9
