"""`escalon train verifier` and `escalon train router`, on cases in the audit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.core.errors import ConfigError
from streams.evaluation.cases import set_aside
from streams.models.listeners.router import Router
from streams.models.verifier.artifact import TrainingShare, Verifier
from tests.builders import call, event, reply, thought, verdict
from tests.harness.audit import write
from tests.harness.commands import Escalon
from tests.harness.shop import PIPELINE, honest_cases, messages_of, shop, texts

pytestmark = pytest.mark.slow
CASES = 400
VERIFIED = PIPELINE.replace(
    'confidence = "verbalized"', 'confidence = ["verbalized", "verifier"]\nverifier = "verifier.npz"'
)


def routed(run: str, word: str, count: int = 250) -> list[Any]:
    """Half of the events are passed on; those have a word. And events that needed no handler."""
    hard = np.random.default_rng(5).random(count) < 0.5
    found: list[Any] = []
    for number, (text, fails) in enumerate(zip(texts(count, 3), hard, strict=True)):
        of = event(f"e{number}", f"{word} {text}" if fails else text, run=run, hour=number)
        asked = call(of, response=reply({"number": "1"}), decision="escalated" if fails else "accepted")
        found += [verdict(of), asked, *([thought(of, {"number": "2"})] if fails else [])]
    ignored = [event(f"n{number}", f"{text} 5% 6% 7%", run=run) for number, text in enumerate(texts(40, 4))]
    return [*found, *(verdict(of, "", action="ignore") for of in ignored)]


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig, tmp_path_factory: pytest.TempPathFactory) -> ClickHouseConfig:
    version = shop(tmp_path_factory.mktemp("shop")).workers["answer"].version
    write(config, *messages_of(honest_cases(CASES), version))
    write(config, *routed("routed", "why"), *routed("unteachable", ""))
    return config


def test_a_verifier_learns_from_one_half_and_the_calibration_uses_the_other(escalon: Escalon, tmp_path: Path) -> None:
    learnt, others = set_aside([one for one, _ in honest_cases(CASES)], "answer", 0.5)
    done = escalon("train", "verifier", "--handler", "answer")
    assert (done.code, done.err) == (0, "")
    assert 'In [workers.answer] write verifier = "verifier.npz" and add "verifier" to confidence.' in done.out
    verifier = Verifier.load(tmp_path / "verifier.npz")
    assert verifier.aside == TrainingShare("answer", 0.5)
    assert verifier.provenance.metrics["rows"] == len(learnt)
    (tmp_path / "pipeline.toml").write_text(VERIFIED, "utf-8")
    calibrated = escalon("calibrate", "--handler", "answer", "--max-error", "0.4", "--json")
    assert calibrated.code == 0, calibrated.err
    assert json.loads(calibrated.stdout)["n"] == len(others)


def test_a_verifiers_figures_are_one_json_document_and_the_share_is_its_users(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("train", "verifier", "--handler", "answer", "--share", "0.8", "--out", "v.npz", "--json")
    figures = json.loads(done.stdout)
    learnt, _ = set_aside([one for one, _ in honest_cases(CASES)], "answer", 0.8)
    assert (figures["artifact"], figures["rows"]) == ("v.npz", len(learnt))
    assert Verifier.load(tmp_path / "v.npz").aside == TrainingShare("answer", 0.8)


def test_too_few_labelled_cases_make_no_verifier(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("train", "verifier", "--handler", "answer", "--run", "nowhere")
    assert done.code == 2
    assert "0 cases, 50 to" in done.err
    assert not (tmp_path / "verifier.npz").exists()


def test_a_router_that_does_better_is_written_and_loads(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("train", "router", "--run", "routed", "--json")
    assert done.code == 0, done.err
    figures = json.loads(done.stdout)
    router = Router.load(tmp_path / "router.zip")
    assert (figures["artifact"], figures["admitted"], figures["threshold"]) == (
        str(tmp_path / "router.zip"),
        True,
        router.threshold,
    )
    assert [one["name"] for one in figures["policies"]] == ["table", "router", "always worker", "always reasoner"]
    assert router.reasoner == "reasoners.think"
    assert set(router.judges) == {"workers.answer", "none"}


def test_a_router_that_does_no_better_is_refused_unless_its_user_insists(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("train", "router", "--run", "unteachable")
    assert done.code == 0, done.err
    assert "It is not better than the table" in done.out
    assert "will not load" in done.out
    with pytest.raises(ConfigError):
        Router.load(tmp_path / "router.zip")
    forced = escalon("train", "router", "--run", "unteachable", "--force")
    assert "the pipeline will load" in forced.out
    assert replace(Router.load(tmp_path / "router.zip"), admitted=False).comparison["held_out"] > 0


def test_a_router_needs_cases_and_handlers_to_choose_between(escalon: Escalon, tmp_path: Path) -> None:
    few = escalon("train", "router", "--run", "nowhere")
    assert few.code == 2
    assert "0 prior cases are too few" in few.err
    (tmp_path / "pipeline.toml").write_text(PIPELINE.partition("[reasoners")[0], "utf-8")
    alone = escalon("train", "router", "--run", "routed")
    assert alone.code == 2
    assert "needs workers and a reasoner" in alone.err
