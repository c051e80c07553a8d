"""One changed value of a pipeline file; all else stays as it was."""

from __future__ import annotations

import tomllib

import pytest

from streams.core.errors import ConfigError
from streams.panels.pipeline_edit import unified_diff, with_value

FILE = """# A desk.
[workers.answer] # the routine
model = "small"
  threshold = 0.75   # under this the reasoner decides

[workers."other"]
model = 'small' # no threshold = 0.5 yet

[routes]
order = "workers.answer" # for now
"""


def test_a_value_is_changed_and_its_comment_stays() -> None:
    made = with_value(FILE, "workers.answer", "threshold", "0.8")
    assert "  threshold = 0.8   # under this the reasoner decides\n" in made
    assert made.replace("0.8", "0.75") == FILE


def test_a_text_is_changed() -> None:
    made = with_value(FILE, "routes", "order", '"reasoners.think"')
    assert 'order = "reasoners.think" # for now\n' in made


def test_a_missing_key_is_added_below_the_header() -> None:
    made = with_value(FILE, "workers.other", "threshold", "0.8")
    assert '[workers."other"]\nthreshold = 0.8\n' in made
    assert tomllib.loads(made)["workers"]["answer"]["threshold"] == 0.75


def test_a_key_with_a_dash_is_found() -> None:
    made = with_value('[routes]\n"open-ended" = "ignore"\n', "routes", "open-ended", '"workers.a"')
    assert made == '[routes]\n"open-ended" = "workers.a"\n'


@pytest.mark.parametrize("text", ["workers = { answer = { threshold = 0.7 } }\n", "workers.answer.threshold = 0.7\n"])
def test_a_table_in_another_form_is_left_to_the_reader(text: str) -> None:
    with pytest.raises(ConfigError, match=r"workers.answer.threshold: .*threshold = 0.8.* Change it by hand"):
        with_value(text, "workers.answer", "threshold", "0.8")


def test_a_value_over_several_lines_is_left_to_the_reader() -> None:
    text = '[routes]\norder = """\nworkers.answer"""\n'
    with pytest.raises(ConfigError, match="Change it by hand"):
        with_value(text, "routes", "order", '"ignore"')


def test_the_diff_names_both_files_and_shows_the_one_line() -> None:
    diff = unified_diff(FILE, with_value(FILE, "workers.answer", "threshold", "0.8"), "a.toml", "b.toml")
    changed = [line for line in diff.splitlines() if line[0] in "+-"]
    assert changed == [
        "--- a.toml",
        "+++ b.toml",
        "-  threshold = 0.75   # under this the reasoner decides",
        "+  threshold = 0.8   # under this the reasoner decides",
    ]
