"""Changes that make a new version of a handler, and changes that leave its cache valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.pipeline.load import Pipeline
from tests.harness.pipeline_files import BASE, FILES, SCHEMA, TEMPLATE, changed, loaded


def versions(pipeline: Pipeline) -> dict[str, str]:
    every = {**pipeline.listeners, **pipeline.workers, **pipeline.reasoners}
    return {name: handler.version for name, handler in every.items()}


def differing(one: Pipeline, other: Pipeline) -> set[str]:
    before, after = versions(one), versions(other)
    return {name for name in before if before[name] != after.get(name)}


def test_the_same_file_gives_the_same_versions_and_the_same_hash(tmp_path: Path) -> None:
    one, other = loaded(tmp_path), loaded(tmp_path)
    assert (versions(one), one.hash) == (versions(other), other.hash)


def test_no_two_handlers_of_different_tasks_share_a_version(tmp_path: Path) -> None:
    assert len(set(versions(loaded(tmp_path)).values())) == 6


@pytest.mark.parametrize(
    "option",
    [
        "threshold = 0.5",
        'cache_ttl = "1m"',
        'cache = "off"',
        'timeout = "1s"',
        "concurrency = 1",
        "retries = 0",
        'reasoner = "think"',
        "explore = 0.5",
        'confidence = "desk:do"',
        'confidence = "verifier"\nverifier = "facts.md"',
        'combine_confidence = "min"',
        "samples = 9",
        'correct = "numeric"',
        'on_expiry = "fallback"',
        "fallback_threshold = 0.5",
    ],
)
def test_an_option_that_changes_no_answer_leaves_every_cache_valid(tmp_path: Path, option: str) -> None:
    one = loaded(tmp_path)
    other = loaded(tmp_path, changed("[workers.work]\n", f"[workers.work]\n{option}\n"))
    assert differing(one, other) == set()
    assert one.hash != other.hash


def test_a_price_leaves_every_cache_valid(tmp_path: Path) -> None:
    prices = "as_of = 2026-11-01\n[models.small]\ninput = {}\noutput = 1\ncache_read = 1\ncache_write = 1\n"
    text = changed('name = "desk"', 'name = "desk"\nprices = "prices.toml"')
    one = loaded(tmp_path, text, {"prices.toml": prices.format(1)})
    other = loaded(tmp_path, text, {"prices.toml": prices.format(2)})
    assert differing(one, other) == set()
    assert one.hash != other.hash


@pytest.mark.parametrize(
    ("old", "new", "renewed"),
    [
        ('model = "small"', 'model = "large"', {"label", "work", "think"}),
        ("seed = 1", "seed = 2", {"work"}),
        ('schema = "schema.json"', 'schema = "schema.json"\nmax_tokens = 9', {"work"}),
        ('schema = "schema.json"', 'schema = "schema.json"\nrefusal = "none"', {"work"}),
        ('schema = "schema.json"', 'schema = "schema.json"\nconfidence = "verbalized"', {"work"}),
        ('schema = "schema.json"', 'schema = "schema.json"\ninputs = ["text"]', {"work"}),
        ('labels = ["order", "question"]', 'labels = ["order", "other"]', {"label"}),
        ('labels = ["order", "question"]', 'labels = ["question", "order"]', {"label"}),
        ('order = ["order"]', 'order = ["orders?"]', {"rules"}),
        ('order = ["order"]', 'order = ["order "]', {"rules"}),
        ('nothing = ["^ok$"]\norder = ["order"]', 'order = ["order"]\nnothing = ["^ok$"]', {"rules"}),
        ('handler = "desk:do"', 'handler = "desk:other"', {"code"}),
        ('task = "resolve"', 'task = "summarise"', {"think"}),
    ],
)
def test_an_option_that_determines_answers_makes_a_new_version_of_its_handler_alone(
    tmp_path: Path, old: str, new: str, renewed: set[str]
) -> None:
    one, other = loaded(tmp_path), loaded(tmp_path, changed(old, new))
    assert differing(one, other) == renewed
    assert one.hash != other.hash


@pytest.mark.parametrize(
    ("name", "content", "renewed"),
    [
        ("prompt.j2", TEMPLATE.replace("Be brief", "Be kind"), {"work"}),
        ("schema.json", SCHEMA.replace('"a"', '"c"'), {"work"}),
        ("facts.md", "Parcels take three days.", {"work"}),
        ("intents.npz", "another artifact", {"intent"}),
        ("desk.py", "def do(task): return 1", {"code"}),
    ],
)
def test_a_file_that_determines_answers_makes_a_new_version_of_its_handler_alone(
    tmp_path: Path, name: str, content: str, renewed: set[str]
) -> None:
    one, other = loaded(tmp_path), loaded(tmp_path, files={name: content})
    assert differing(one, other) == renewed
    assert one.hash != other.hash


@pytest.mark.parametrize(
    "option",
    [
        'confidence = "checks:likely"',
        'confidence = "verifier"\nverifier = "verifier.npz"',
        'confidence = "self-consistency"\ncorrect = "checks:alike"',
    ],
)
@pytest.mark.parametrize("name", ["checks.py", "verifier.npz"])
def test_what_confidence_is_made_with_makes_part_of_the_hash_and_of_no_version(
    tmp_path: Path, option: str, name: str
) -> None:
    text = changed("[workers.work]\n", f"[workers.work]\n{option}\n")
    files = {"checks.py": "def likely(task, answer): ...", "verifier.npz": "the verifier"}
    one, other = loaded(tmp_path, text, files), loaded(tmp_path, text, {**files, name: "another"})
    assert differing(one, other) == set()
    assert (one.hash != other.hash) == (name.partition(".")[0] in option)


def test_models_answer_in_the_order_of_the_schema_so_the_order_counts(tmp_path: Path) -> None:
    swapped = '{"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}'
    assert differing(loaded(tmp_path), loaded(tmp_path, files={"schema.json": swapped})) == {"work"}


def test_how_a_schema_file_is_laid_out_does_not_count(tmp_path: Path) -> None:
    one, other = loaded(tmp_path), loaded(tmp_path, files={"schema.json": SCHEMA.replace(": ", " :\n  ")})
    assert differing(one, other) == set()


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_makes_part_of_the_hash_of_the_pipeline(tmp_path: Path, name: str) -> None:
    content = FILES[name].replace("}}", "} }") if name.endswith("json") else FILES[name] + "\n"
    assert loaded(tmp_path).hash != loaded(tmp_path, files={name: content}).hash


def test_a_comment_in_the_file_changes_the_hash_and_no_version(tmp_path: Path) -> None:
    one, other = loaded(tmp_path), loaded(tmp_path, BASE + "\n# a comment\n")
    assert one.hash != other.hash
    assert differing(one, other) == set()
