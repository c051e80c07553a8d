"""The key `batch`: where it is taken, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.app.provider_limits import check_request, unpriced
from streams.core.errors import ConfigError
from tests.harness.stages import PIPELINE, build

CLAUDE = PIPELINE.replace(
    'provider = "recorded"\nmodel = "m"\ncassette = "none.jsonl"', 'provider = "claude"\nmodel = "m"'
)


def batching(key: str, text: str = CLAUDE) -> str:
    return text.replace("[workers.answer]", f"[workers.answer]\n{key}")


def test_a_batch_changes_no_version_and_no_other_handler(tmp_path: Path) -> None:
    plain, with_batch = build(tmp_path, CLAUDE), build(tmp_path, batching('batch = "1h"'))
    assert (plain.batches, with_batch.batches) == (False, True)
    assert with_batch.workers["answer"].batch == 3600
    assert with_batch.workers["answer"].version == plain.workers["answer"].version
    assert with_batch.workers["extract"].batch is None


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('batch = "9m"', "batch is from 10m to 24h"),
        ('batch = "25h"', "batch is from 10m to 24h"),
        ('batch = "1h"\nconfidence = ["self-consistency"]', "batch and self-consistency do not go together"),
    ],
)
def test_what_cannot_wait_for_a_batch_is_refused(tmp_path: Path, key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(tmp_path, batching(key))


def test_a_function_waits_for_no_batch(tmp_path: Path) -> None:
    text = CLAUDE.replace('[workers.file]\ntask = "summarise"\nmodel = "m"', '[workers.file]\nhandler = "json:dumps"')
    with pytest.raises(ConfigError, match="batch is for calls of a model"):
        build(tmp_path, text.replace('handler = "json:dumps"\ncache', 'handler = "json:dumps"\nbatch = "1h"\ncache'))


@pytest.mark.parametrize(
    "text", [PIPELINE, CLAUDE.replace('"claude"', '"openai"\nbase_url = "http://127.0.0.1:1/v1"\ndialect = "vllm"')]
)
def test_a_provider_without_a_batch_api_is_refused(tmp_path: Path, text: str) -> None:
    pipeline = build(tmp_path, batching('batch = "1h"', text))
    with pytest.raises(ConfigError, match=r"workers\.answer\.batch: its model's provider has no batch API"):
        check_request(pipeline.workers["answer"], pipeline.spec.models["m"], "workers.answer")


@pytest.mark.parametrize("provider", ['"claude"', '"openai"'])
def test_providers_with_a_batch_api_are_taken(tmp_path: Path, provider: str) -> None:
    pipeline = build(tmp_path, batching('batch = "1h"', CLAUDE.replace('"claude"', provider)))
    check_request(pipeline.workers["answer"], pipeline.spec.models["m"], "workers.answer")


def test_check_says_if_the_price_list_does_not_price_batches(tmp_path: Path) -> None:
    rates = "input = 1.0, output = 5.0, cache_read = 0.1, cache_write = 1.25"
    text = CLAUDE.replace("\n[", '\nprices = "prices.toml"\n\n[', 1)
    said = {}
    for head in ("", "batch = 0.5\n"):
        (tmp_path / "prices.toml").write_text(f"as_of = 2026-11-01\n{head}[models]\nm = {{ {rates} }}\n")
        pipeline = build(tmp_path, batching('batch = "1h"', text))
        said[head] = [*unpriced(pipeline.workers.values(), pipeline)]
    assert [one.split(",")[0] for one in said[""]] == [
        "models.m: the price list does not say what a call in a batch costs"
    ]
    assert said["batch = 0.5\n"] == []
