"""The table [redaction]: what it may say, what it changes, and the name of a policy."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from streams.core.errors import ConfigError
from streams.pipeline.redaction import BuiltIn, RedactionSpec
from tests.harness.pipeline_files import FUNCTION, with_redaction


def test_the_table_in_the_documentation_is_valid(pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / "docs" / "pipeline.md").read_text("utf-8")
    (block,) = (one for one in re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S) if "[redaction]" in one)
    spec = RedactionSpec.model_validate(tomllib.loads(block)["redaction"])
    assert set(spec.detect) < set(get_args(BuiltIn))
    assert {f"`{name}`" for name in get_args(BuiltIn)} <= set(re.findall(r"`\w+`", text))


def policy_id(directory: Path, redaction: str, function: str = FUNCTION) -> str:
    found = with_redaction(directory, redaction, function).redaction
    assert found is not None
    return found.id


def test_without_the_table_nothing_is_redacted(tmp_path: Path) -> None:
    assert with_redaction(tmp_path).redaction is None


def test_the_bare_table_brings_every_built_in_detector(tmp_path: Path) -> None:
    found = with_redaction(tmp_path, "[redaction]\n").redaction
    assert found is not None
    assert found.policy.text("jo@x.org, 10.0.0.1") == "[email], [ip]"
    assert found.id.startswith("redaction-")


def test_patterns_of_ones_own_join_the_detectors_named(tmp_path: Path) -> None:
    found = with_redaction(tmp_path, "[redaction]\ndetect = ['email']\npatterns = { customer = 'C-\\d+' }\n").redaction
    assert found is not None
    assert found.policy.text("jo@x.org C-77 10.0.0.1") == "[email] [customer] 10.0.0.1"


def test_the_id_follows_from_the_name_the_rules_and_the_function_s_source(tmp_path: Path) -> None:
    bare = "[redaction]\n"
    variants = [
        bare,
        "[redaction]\nname = 'strict'\n",
        "[redaction]\ndetect = ['email']\n",
        "[redaction]\npatterns = { customer = 'C-\\d+' }\n",
        "[redaction]\npatterns = { customer = 'D-\\d+' }\n",
        "[redaction]\nfunction = 'desk_hides:hide'\n",
    ]
    ids = [policy_id(tmp_path, text) for text in variants]
    ids.append(policy_id(tmp_path, variants[-1], FUNCTION + "# changed\n"))
    assert len(set(ids)) == len(ids)
    assert policy_id(tmp_path, bare) == ids[0]


def test_the_pipeline_s_hash_knows_the_redaction_and_the_handlers_versions_do_not(tmp_path: Path) -> None:
    plain, redacting = with_redaction(tmp_path), with_redaction(tmp_path, "[redaction]\nfunction = 'desk_hides:hide'\n")
    other = with_redaction(tmp_path, "[redaction]\nfunction = 'desk_hides:hide'\n", FUNCTION + "# changed\n")
    assert len({plain.hash, redacting.hash, other.hash}) == 3
    assert {name: one.version for name, one in plain.workers.items()} == {
        name: one.version for name, one in redacting.workers.items()
    }


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        ("detect = ['name']", "redaction.detect", "'key', 'email'"),
        ("detect = []", "redaction", "redacts nothing"),
        ("patterns = { email = 'x' }", "redaction.patterns", "built-in"),
        ("patterns = { look = '(?=x)' }", "redaction.patterns", "look-around"),
        ("patterns = { any = 'x*' }", "redaction.patterns", "empty text"),
        ("patterns = { any = '' }", "redaction.patterns.any", "at least 1"),
        ("function = 'hide'", "redaction.function", "not written as it must be"),
        ("function = 'nowhere_at_all:hide'", "redaction.function", "cannot be found"),
        ("detects = ['email']", "redaction.detects", "detect"),
    ],
)
def test_a_wrong_table_is_an_error_with_its_key_and_a_remedy(tmp_path: Path, table: str, key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        with_redaction(tmp_path, f"[redaction]\n{table}\n")
    assert caught.value.key.startswith(key)
