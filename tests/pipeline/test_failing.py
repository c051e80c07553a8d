"""Keys of a pipeline file for models that fail: limits, retries, fallback, later rounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.pipeline_files import BASE, changed, loaded, wrong

SPARE = '[models.spare]\nprovider = "recorded"\nmodel = "other"\ncassette = "none.jsonl"\n\n[listeners.rules]\n'
WITH = BASE.replace("[listeners.rules]\n", SPARE, 1)
SAVED = changed("[workers.work]\n", '[workers.work]\nfallback = "spare"\n', WITH)


def test_a_handler_with_a_fallback_has_itself_with_the_other_model_behind_it(tmp_path: Path) -> None:
    work = loaded(tmp_path, SAVED).workers["work"]
    other = work.fallback
    assert other is not None
    assert work.prompting is not None
    assert other.prompting is not None
    assert (work.prompting.model_key, other.prompting.model_key) == ("m", "spare")
    assert (other.name, other.tier, other.prompts.model, other.spec.retries) == ("work", "worker", "spare", 0)
    assert other.prompting.template.source == work.prompting.template.source
    assert (other.fallback, other.confidence) == (None, None)


def test_a_fallback_leaves_the_handlers_version_and_has_its_own(tmp_path: Path) -> None:
    plain, saved = loaded(tmp_path, WITH), loaded(tmp_path, SAVED)
    other = loaded(tmp_path, SAVED.replace('model = "other"', 'model = "third"')).workers["work"]
    work = saved.workers["work"]
    assert work.version == plain.workers["work"].version == other.version
    assert work.fallback is not None
    assert other.fallback is not None
    assert len({work.version, work.fallback.version, other.fallback.version}) == 3
    assert plain.hash != saved.hash


@pytest.mark.parametrize("table", ["listeners.label", "workers.work", "reasoners.think"])
def test_every_handler_with_a_model_may_have_one(tmp_path: Path, table: str) -> None:
    tier, _, name = table.partition(".")
    pipeline = loaded(tmp_path, changed(f"[{table}]\n", f'[{table}]\nfallback = "spare"\n', WITH))
    assert getattr(pipeline, tier)[name].fallback.spec.model == "spare"


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("[workers.work]\n", '[workers.work]\nfallback = "gone"\n', "workers.work.fallback", "no model is named"),
        ("[workers.work]\n", '[workers.work]\nfallback = "m"\n', "workers.work.fallback", "handler's own model"),
        ("[workers.code]\n", '[workers.code]\nfallback = "spare"\n', "workers.code", "a Python function has no model"),
        ("[models.m]\n", "[models.m]\nrequests_per_minute = 0\n", "models.m.requests_per_minute", "out of range"),
        ("[models.m]\n", "[models.m]\nretry_budget = 1\n", "models.m.retry_budget", "out of range"),
        ("[models.m]\n", "[models.m]\nretry_budget = nan\n", "models.m.retry_budget", ""),
        ('name = "desk"', 'name = "desk"\ndeadline = "soon"', "deadline", "duration"),
        ('name = "desk"', 'name = "desk"\ndeadline = 0', "deadline", "out of range"),
        ("[workers.work]\n", "[retry_later]\ntimes = 101\n[workers.work]\n", "retry_later.times", "out of range"),
        ("[workers.work]\n", "[retry_later]\nwait = 0\n[workers.work]\n", "retry_later.wait", "out of range"),
    ],
)
def test_a_key_without_meaning_is_an_error_that_names_it(
    tmp_path: Path, old: str, new: str, key: str, said: str
) -> None:
    error = wrong(tmp_path, changed(old, new, WITH))
    assert error.key.startswith(key)
    assert said in str(error)


def test_an_error_of_the_fallback_names_its_key(tmp_path: Path) -> None:
    claude = SAVED.replace(
        'provider = "recorded"\nmodel = "other"\ncassette = "none.jsonl"', 'provider = "claude"\nmodel = "other"'
    )
    error = wrong(tmp_path, changed("[workers.work]\n", '[workers.work]\nconfidence = "logprob"\n', claude))
    assert error.key == "workers.work.fallback"
    assert "log-probabilities" in str(error)
    assert error.remedy


def test_a_budget_needs_a_price_for_the_fallback_too(tmp_path: Path) -> None:
    budget = "\n[budgets.worker]\nusd_per_day = 1\n"
    priced = SAVED.replace('model = "small"', 'model = "small"\npriced_as = "claude-haiku-4-5"')
    assert wrong(tmp_path, priced + budget).key == "models.spare.priced_as"
    assert loaded(
        tmp_path, priced.replace('model = "other"', 'model = "other"\npriced_as = "claude-haiku-4-5"') + budget
    )


def test_limits_budget_deadline_and_later_rounds_leave_every_version(tmp_path: Path) -> None:
    text = WITH.replace(
        "[models.m]\n",
        "[retry_later]\nwait = 1\ntimes = 0\n[models.m]\nrequests_per_minute = 60\ninput_tokens_per_minute = 100\n"
        "output_tokens_per_minute = 100\nretry_budget = 0\n",
    ).replace('name = "desk"', 'name = "desk"\ndeadline = "10m"')
    plain, limited = loaded(tmp_path, WITH), loaded(tmp_path, text)
    assert [one.version for one in plain.workers.values()] == [one.version for one in limited.workers.values()]
    assert limited.spec.deadline == 600
    assert limited.spec.models["m"].requests_per_minute == 60
