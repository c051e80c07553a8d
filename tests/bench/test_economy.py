from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import economy_product
from bench.economy_curves import (
    Figures,
    Outcomes,
    accuracies,
    apgr_interval,
    asked_first,
    at_shares,
    figures,
    random_figures,
)
from bench.economy_data import Parts, read_parts, split
from bench.economy_stages import run_stages


def outcomes(worker: list[int], reasoner: list[int]) -> Outcomes:
    return Outcomes(np.array(worker, dtype=np.float64), np.array(reasoner, dtype=np.float64))


FOUR = outcomes([0, 0, 1, 1], [1, 1, 1, 1])
events = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


def test_the_best_order_recovers_the_gap_with_the_events_the_worker_got_wrong() -> None:
    found = figures(np.array([0.9, 0.8, 0.2, 0.1]), FOUR)
    # The recovered part is 0, 1/2, 1, 1, 1 at the shares 0, 1/4, 1/2, 3/4, 1.
    assert found == Figures(apgr=0.75, cpt50=0.25, cpt80=0.5, share_at_95=0.5)


def test_the_worst_order_recovers_it_last() -> None:
    assert figures(np.array([0.1, 0.2, 0.8, 0.9]), FOUR) == Figures(apgr=0.25, cpt50=0.75, cpt80=1.0, share_at_95=1.0)


def test_95_percent_of_the_reasoner_need_no_call_where_the_worker_is_as_good() -> None:
    even = outcomes([1, 0, 1, 1], [1, 1, 0, 1])
    assert figures(np.zeros(4), even) == Figures(apgr=None, cpt50=None, cpt80=None, share_at_95=0.0)
    assert apgr_interval(np.zeros(4), even) is None
    assert random_figures(even).apgr is None


def test_random_orders_recover_half_on_the_average() -> None:
    rng = np.random.default_rng(0)
    worker = rng.integers(0, 2, 500)
    drawn = random_figures(outcomes(worker.tolist(), np.maximum(worker, rng.integers(0, 2, 500)).tolist()))
    assert drawn.apgr == pytest.approx(0.5, abs=0.02)
    assert drawn.cpt50 == pytest.approx(0.5, abs=0.03)
    assert drawn.cpt80 == pytest.approx(0.8, abs=0.03)


def test_the_interval_holds_the_figure_and_narrows_with_more_events() -> None:
    need = np.tile([0.9, 0.2, 0.8, 0.1], 10)
    few = apgr_interval(need, outcomes([0, 0, 1, 1] * 10, [1] * 40))
    many = apgr_interval(np.tile(need, 10), outcomes([0, 0, 1, 1] * 100, [1] * 400))
    assert few is not None
    assert many is not None
    assert few[0] < (figures(need, outcomes([0, 0, 1, 1] * 10, [1] * 40)).apgr or 0) < few[1]
    assert many[1] - many[0] < few[1] - few[0]


def test_events_of_equal_need_go_in_the_given_order() -> None:
    assert asked_first(np.array([0.5, 0.9, 0.5])).tolist() == [1, 0, 2]


def test_the_table_takes_whole_events() -> None:
    assert at_shares(np.array([0.9, 0.8, 0.2, 0.1]), FOUR) == [0.5, 0.5, 0.75, 0.75, 1, 1, 1, 1, 1, 1, 1]


@given(events)
def test_a_curve_ends_at_the_reasoner_and_no_order_beats_the_oracle(drawn: list[tuple[int, int, float]]) -> None:
    worker, reasoner, need = (list(column) for column in zip(*drawn, strict=True))
    known = outcomes(worker, reasoner)
    curve = accuracies(asked_first(np.array(need)), known)
    oracle = accuracies(asked_first(known.reasoner - known.worker), known)
    assert (curve[0], curve[-1]) == (known.worker.mean(), known.reasoner.mean())
    assert (curve <= oracle + 1e-12).all()


@given(st.lists(st.sampled_from("abcdefghijklmnopqrst"), min_size=1, max_size=60), st.integers(0, 5))
def test_a_split_keeps_equal_keys_on_one_side_and_loses_no_row(keys: list[str], seed: int) -> None:
    rows = list(range(len(keys)))
    inside, outside = split(rows, keys, 0.7, seed)
    assert sorted(inside + outside) == rows
    assert not {keys[row] for row in inside} & {keys[row] for row in outside}
    assert (inside, outside) == split(rows, keys, 0.7, seed)
    assert len({keys[row] for row in inside}) == round(0.7 * len(set(keys)))


def test_another_seed_splits_otherwise() -> None:
    rows, keys = list(range(100)), [str(number) for number in range(100)]
    assert split(rows, keys, 0.7, 0) != split(rows, keys, 0.7, 1)


def test_two_directories_are_not_split(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "mmlu_outcomes.jsonl", questions(10, name))
    parts = read_parts("mmlu_outcomes.jsonl", tmp_path / "train", tmp_path / "test")
    assert isinstance(parts, Parts)
    assert {row.text[:4] for row in parts.test} == {"test"}
    assert (len(parts.train), len(parts.test)) == (10, 10)


def test_a_missing_file_is_named_with_its_directory(tmp_path: Path) -> None:
    write(tmp_path / "mmlu_outcomes.jsonl", questions(10))
    said = read_parts("mmlu_outcomes.jsonl", tmp_path, tmp_path / "absent")
    assert said == f"mmlu_outcomes.jsonl is not in {tmp_path / 'absent'}"


@pytest.mark.slow
def test_a_whole_run_measures_the_sets_it_finds_and_skips_the_rest(tmp_path: Path) -> None:
    write(tmp_path / "gsm8k_outcomes.jsonl", sums(160))
    found = run(tmp_path)
    assert found["split"] == {"own": True, "trained": 0.7, "seed": 0}
    assert "is not in" in found["sets"]["mmlu"]["skipped"]
    assert "skipped" in found["guarantee"]
    assert "is not in" in found["intents"]["sms"]["skipped"]
    figures = found["sets"]["gsm8k"]
    methods = figures["methods"]
    assert figures["n"] + figures["n_train"] == 160
    assert figures["accuracy"]["reasoner"] == 1
    # The verifier is right by reading the sums.
    assert methods["confidence"]["apgr"] > methods["tfidf_before"]["apgr"] + 0.1
    assert methods["oracle"]["apgr"] >= methods["confidence"]["apgr"]
    assert methods["confidence"]["accuracies"][0] == figures["accuracy"]["worker"]
    assert 0 < figures["threshold"]["share"] < 1
    assert figures["threshold"]["accuracy"] > figures["accuracy"]["worker"]


@pytest.mark.slow
def test_what_a_router_decides_is_what_the_stages_do(tmp_path: Path) -> None:
    write(tmp_path / "mmlu_outcomes.jsonl", questions(150))
    parts = read_parts("mmlu_outcomes.jsonl", tmp_path, tmp_path)
    assert isinstance(parts, Parts)
    decided = economy_product.routed(parts, tmp_path, 0, folds=3)
    passed_on = decided.escalated(decided.threshold)
    done = run_stages(parts.test, decided)
    assert 0 < done.reasoner_calls < done.n == len(parts.test)
    assert done.reasoner_calls == passed_on.sum()
    assert done.right == sum(asked or row.worker_correct for row, asked in zip(parts.test, passed_on, strict=True))
    law = np.array([row.data["subject"] == "law" for row in parts.test])
    assert decided.value[law].min() > decided.value[~law].max()


def test_a_threshold_passes_on_no_more_than_95_percent_of_the_reasoner_need() -> None:
    keeps = np.array([0.2, 0.9, 0.1, 0.8])
    assert economy_product.least_threshold(keeps, outcomes([0, 1, 0, 1], [1, 1, 1, 1])) == 0.8
    assert economy_product.least_threshold(keeps, outcomes([1, 1, 1, 1], [1, 1, 1, 1])) == 0.1
    assert economy_product.least_threshold(keeps, outcomes([0, 0, 0, 0], [1, 1, 1, 1])) == 1.0


def run(directory: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.economy", "--train", str(directory), "--test", str(directory), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")


def sums(count: int) -> list[dict[str, Any]]:
    """Additions, of which the worker gets a third wrong, at random; one in ten is judged wrongly."""
    rng = np.random.default_rng(3)
    rows = []
    for one, other in rng.integers(2, 900, (count, 2)).tolist():
        right = bool(rng.random() < 2 / 3)
        total = one + other + (0 if right else 7)
        rows.append(
            {
                "prompt": f"Ann has {one} coins and Bob has {other} coins. How many do they have?",
                "worker_response": f"They have {one} + {other} = {total} coins.\n#### {total}",
                "worker_correct": right != bool(rng.random() < 0.1),
                "reasoner_response": f"#### {one + other}",
                "reasoner_correct": True,
            }
        )
    return rows


def questions(count: int, prefix: str = "") -> list[dict[str, Any]]:
    """Questions without answers: the worker gets nine in ten right about law, and one in ten about logic."""
    return [
        {
            "prompt": f"{prefix} question {number}\nA. 1\nB. 2",
            "subject": "law" if number % 2 else "logic",
            "worker_correct": bool(number % 2) != (number % 20 in (4, 5)),
            "reasoner_correct": True,
        }
        for number in range(count)
    ]
