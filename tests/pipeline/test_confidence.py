"""A worker's sources of confidence, threshold and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from streams.calibration.artifact import CalibrationArtifact
from streams.core.errors import ConfigError
from streams.core.escalation import Escalate, Threshold, decide
from streams.core.messages import Attempt
from streams.pipeline.confidence import ConfidenceConfig
from streams.pipeline.load import Pipeline
from tests.harness.confidence import calibration
from tests.harness.pipeline_files import BASE, TEMPLATE, changed, loaded, wrong

FILES = {
    "checks.py": "def likely(task, answer): ...",
    "verifier.npz": "the verifier",
    "alike.py": "def alike(a, b): ...",
}
SAMPLED = 'confidence = "self-consistency"'
ALL = """
confidence = ["verbalized", "checks:likely", "self-consistency", "verifier"]
verifier = "verifier.npz"
samples = 3
correct = "alike:alike"
"""
CALIBRATED = 'calibration = "c.json"'


def text(options: str = "", more: str = BASE) -> str:
    return changed("[workers.work]\n", f"[workers.work]\n{options}\n", more)


def trust_of(pipeline: Pipeline, worker: str = "work") -> ConfidenceConfig:
    config = pipeline.workers[worker].confidence
    assert config is not None
    return config


def trusted(directory: Path, options: str = "", files: Mapping[str, str] | None = None) -> ConfidenceConfig:
    return trust_of(loaded(directory, text(options), FILES | dict(files or {})))


def made_for(directory: Path, options: str = "", **more: Any) -> CalibrationArtifact:
    """A calibration of the worker with these options."""
    return calibration(**{"handler": "work", "scoring": trusted(directory, options).scoring} | more)


def files_with(artifact: CalibrationArtifact) -> dict[str, str]:
    return FILES | {"c.json": artifact.to_json()}


def test_a_worker_that_says_nothing_is_believed_in_everything(tmp_path: Path) -> None:
    config = trusted(tmp_path)
    assert (config.sources, config.functions, config.combine, config.samples) == ((), (), "mean", 1)
    assert (config.verifier, config.artifact, config.threshold, config.fallback) == (None, None, None, None)
    assert config.explore == 0


def test_all_that_a_file_says_of_confidence_is_resolved(tmp_path: Path) -> None:
    config = trusted(tmp_path, ALL + 'combine_confidence = "min"\nexplore = 0.25\nthreshold = 0.5')
    assert config.sources == ("verbalized", "checks:likely", "self-consistency", "verifier")
    assert (config.functions, config.combine, config.samples) == (("checks:likely",), "min", 3)
    assert (config.verifier, config.explore, config.threshold) == (tmp_path / "verifier.npz", 0.25, 0.5)


@pytest.mark.parametrize(
    ("written", "sources"),
    [
        ('"verbalized"', ("verbalized",)),
        ('["verbalized"]', ("verbalized",)),
        ('["logprob", "verbalized"]', ("logprob", "verbalized")),
        ('"checks:likely"', ("checks:likely",)),
        ('"none"', ()),
        ("[]", ()),
    ],
)
def test_confidence_is_written_as_one_source_or_a_list(tmp_path: Path, written: str, sources: tuple[str, ...]) -> None:
    assert trusted(tmp_path, f"confidence = {written}").sources == sources


def test_one_source_is_the_same_written_either_way(tmp_path: Path) -> None:
    one, other = trusted(tmp_path, 'confidence = "logprob"'), trusted(tmp_path, 'confidence = ["logprob"]')
    assert one == other


def test_without_self_consistency_a_task_is_asked_once(tmp_path: Path) -> None:
    assert trusted(tmp_path, "samples = 9").samples == 1
    assert trusted(tmp_path, SAMPLED).samples == 5
    assert trusted(tmp_path, f"{SAMPLED}\nsamples = 9").samples == 9


def test_only_workers_are_believed_by_degrees(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    assert all(handler.confidence for handler in pipeline.workers.values())
    assert not any(handler.confidence for handler in [*pipeline.listeners.values(), *pipeline.reasoners.values()])


# ---- What a calibration belongs to ----


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'confidence = "verbalized"'),
        ('confidence = "verbalized"', 'confidence = ["verbalized", "checks:likely"]'),
        ('confidence = "checks:likely"', 'confidence = "alike:alike"'),
        (ALL, ALL + 'combine_confidence = "product"'),
        (SAMPLED, f"{SAMPLED}\nsamples = 6"),
        (SAMPLED, f'{SAMPLED}\ncorrect = "numeric"'),
        (
            f'{SAMPLED}\ncorrect = {{ by = "numeric", tolerance = 0.1 }}',
            f'{SAMPLED}\ncorrect = {{ by = "numeric", tolerance = 0.2 }}',
        ),
        ("", "max_tokens = 99"),
        ("", 'inputs = ["text"]'),
    ],
)
def test_another_way_of_making_raw_confidence_is_another_scoring(tmp_path: Path, before: str, after: str) -> None:
    assert trusted(tmp_path, before).scoring != trusted(tmp_path, after).scoring


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("checks.py", "def likely(task, answer): return 1"),
        ("alike.py", "def alike(a, b): return True"),
        ("verifier.npz", "another verifier"),
        ("prompt.j2", TEMPLATE.replace("brief", "kind")),
        ("facts.md", "Parcels take three days."),
    ],
)
def test_a_file_that_raw_confidence_is_made_with_makes_part_of_the_scoring(
    tmp_path: Path, name: str, content: str
) -> None:
    assert trusted(tmp_path, ALL).scoring != trusted(tmp_path, ALL, {name: content}).scoring


@pytest.mark.parametrize(
    "option",
    [
        "threshold = 0.5",
        "explore = 0.5",
        'on_expiry = "fallback"',
        "fallback_threshold = 0.5",
        'cache = "off"',
        'cache_ttl = "1m"',
        'timeout = "1s"',
        "retries = 0",
        "concurrency = 1",
        'reasoner = "think"',
    ],
)
def test_what_makes_no_raw_confidence_leaves_the_scoring_as_it_is(tmp_path: Path, option: str) -> None:
    assert trusted(tmp_path, ALL).scoring == trusted(tmp_path, f"{ALL}{option}").scoring


@pytest.mark.parametrize("option", ["samples = 9", 'correct = "numeric"', 'correct = "alike:alike"'])
def test_how_samples_are_compared_counts_only_where_there_are_several(tmp_path: Path, option: str) -> None:
    assert trusted(tmp_path).scoring == trusted(tmp_path, option).scoring


def test_what_no_source_uses_leaves_the_scoring_as_it_is(tmp_path: Path) -> None:
    one = trusted(tmp_path, SAMPLED)
    assert one.scoring == trusted(tmp_path, SAMPLED, dict.fromkeys(FILES, "another")).scoring


def test_another_worker_of_the_same_file_leaves_the_scoring_as_it_is(tmp_path: Path) -> None:
    one = trusted(tmp_path, ALL)
    other = loaded(tmp_path, changed('handler = "desk:do"', 'handler = "desk:other"', text(ALL)), FILES)
    assert one.scoring == trust_of(other).scoring
    assert trust_of(loaded(tmp_path, text(ALL), FILES), "code").scoring != trust_of(other, "code").scoring


# ---- The calibration ----


def test_a_calibration_brings_its_threshold(tmp_path: Path) -> None:
    artifact = made_for(tmp_path, ALL, threshold=0.625)
    pipeline = loaded(tmp_path, text(ALL + CALIBRATED), files_with(artifact))
    config = trust_of(pipeline)
    assert (config.artifact, config.fallback, config.stale) == (artifact, None, False)
    assert config.current_threshold == Threshold(0.625, artifact.id, artifact.raw_threshold)
    plain = loaded(tmp_path, text(ALL), files_with(artifact))
    assert config.scoring == trust_of(plain).scoring
    assert pipeline.workers["work"].version == plain.workers["work"].version


def test_the_calibration_makes_part_of_the_pipelines_hash(tmp_path: Path) -> None:
    one, other = made_for(tmp_path), made_for(tmp_path, n=399)
    hashes = {loaded(tmp_path, text(CALIBRATED), files_with(artifact)).hash for artifact in (one, other)}
    assert len(hashes) == 2


def test_the_threshold_to_fall_back_to_is_kept_beside_the_calibrations(tmp_path: Path) -> None:
    options = f'{CALIBRATED}\non_expiry = "fallback"\nfallback_threshold = 0.875'
    config = trust_of(loaded(tmp_path, text(options), files_with(made_for(tmp_path, threshold=0.625))))
    assert (config.current_threshold.threshold, config.fallback) == (0.625, 0.875)


def test_without_a_figure_nothing_but_certainty_is_enough_to_fall_back_to(tmp_path: Path) -> None:
    options = f'{CALIBRATED}\non_expiry = "fallback"'
    assert trust_of(loaded(tmp_path, text(options), files_with(made_for(tmp_path)))).fallback == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"handler": "code"}, "c.json was made for the worker 'code'."),
        ({"scoring": "another"}, "c.json was made for another version of this worker."),
    ],
    ids=["another worker", "another scoring"],
)
def test_a_calibration_of_something_else_is_refused(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    error = wrong(tmp_path, text(CALIBRATED), files_with(made_for(tmp_path, **changes)))
    assert (error.key, error.what) == ("workers.work.calibration", said)
    assert "Run `escalon calibrate --handler work` again" in error.remedy


def test_a_calibration_of_another_scoring_is_let_pass_by_for_the_fallback(tmp_path: Path) -> None:
    options = f'{CALIBRATED}\non_expiry = "fallback"\nfallback_threshold = 0.875'
    stale = made_for(tmp_path, scoring="another")
    config = trust_of(loaded(tmp_path, text(options), files_with(stale)))
    assert (config.artifact, config.stale, config.fallback) == (None, True, 0.875)
    assert (config.current_threshold.threshold, config.current_threshold.calibration) == (0.875, None)
    assert "another version" in config.current_threshold.note


def test_a_calibration_of_another_worker_is_refused_even_with_a_fallback(tmp_path: Path) -> None:
    options = f'{CALIBRATED}\non_expiry = "fallback"'
    error = wrong(tmp_path, text(options), files_with(made_for(tmp_path, handler="code")))
    assert "made for the worker 'code'" in error.what


def test_a_calibration_that_was_edited_is_refused_and_its_file_named(tmp_path: Path) -> None:
    edited = made_for(tmp_path).to_json().replace('"threshold": 0.75', '"threshold": 0.25')
    with pytest.raises(ConfigError, match=r"^workers\.work\.calibration: c\.json: The calibration '\w+' was edited"):
        loaded(tmp_path, text(CALIBRATED), FILES | {"c.json": edited})


def test_a_fallback_of_1_accepts_nothing_however_sure_it_is(tmp_path: Path) -> None:
    options = f'{CALIBRATED}\non_expiry = "fallback"'
    config = trust_of(loaded(tmp_path, text(options), files_with(made_for(tmp_path, scoring="0" * 32))))
    sure = Attempt(
        tier="worker", handler="work", status="answered", answer="1", raw_confidence=1.0, confidence=1.0, call_id="c"
    )
    assert isinstance(
        decide(sure, config.current_threshold.threshold, config.current_threshold.raw_threshold), Escalate
    )
