"""A pipeline file names Python only where its operator allows it, and reading one runs nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streams.app.settings import Settings, read_settings
from streams.cli.context import find_pipeline
from streams.core.errors import ConfigError
from streams.pipeline.code import ANY_PYTHON, NO_PYTHON, AllowedPython, allowed_python
from streams.pipeline.load import load_pipeline, load_uncalibrated

PLAIN = """
name = "desk"
routes = { unsure = "ignore" }

[listeners.words]
kind = "rules"
rules = { question = ["[?]"] }
"""
WORKER = '[workers.work]\nhandler = "desk:answer"\n'
CALLS: dict[str, str] = {
    "listeners.code.handler": '[listeners.code]\nkind = "function"\nhandler = "desk:find"\n',
    "workers.work.handler": WORKER,
    "workers.work.confidence": '[models.m]\nprovider = "recorded"\nmodel = "m"\ncassette = "c"\n'
    '[workers.work]\nmodel = "m"\ntask = "answer"\nconfidence = "desk:sure"\n',
    "workers.work.correct": '[models.m]\nprovider = "recorded"\nmodel = "m"\ncassette = "c"\n'
    '[workers.work]\nmodel = "m"\ntask = "answer"\ncorrect = { by = "desk:alike" }\n',
    "reasoners.last.handler": '[reasoners.last]\nhandler = "desk:answer"\n',
    "redaction.function": '[redaction]\nfunction = "desk:hide"\n',
}
"""A file's table by the key of its function."""


def written(directory: Path, more: str, module: str = "raise RuntimeError('it ran')\n") -> Path:
    (directory / "desk.py").write_text(module, "utf-8")
    (directory / "pipeline.toml").write_text(PLAIN + more, "utf-8")
    return directory / "pipeline.toml"


@pytest.mark.parametrize("key", CALLS)
def test_a_function_is_refused_under_every_key_and_the_setting_is_named(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_pipeline(written(tmp_path, CALLS[key]))
    assert caught.value.key == key
    assert "ESCALON_ALLOW_PYTHON=desk" in str(caught.value)


@pytest.mark.parametrize("key", CALLS)
def test_what_is_allowed_is_read_and_not_run(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "desk", raising=False)  # other tests have a module of this name
    path = written(tmp_path, CALLS[key])
    for load in (load_pipeline, load_uncalibrated):
        assert load(path, AllowedPython(("desk",))).name == "desk"
    assert "desk" not in sys.modules


def test_the_remedy_names_every_module_that_is_needed_once_and_keeps_those_allowed(tmp_path: Path) -> None:
    more = WORKER + '[reasoners.last]\nhandler = "other.part:f"\n[redaction]\nfunction = "desk:hide"\n'
    with pytest.raises(ConfigError) as caught:
        load_pipeline(written(tmp_path, more), AllowedPython(("json",)))
    assert "ESCALON_ALLOW_PYTHON=json,desk,other.part," in str(caught.value)


@pytest.mark.parametrize(
    ("text", "module", "allowed"),
    [
        ("", "desk", False),
        ("0", "desk", False),
        ("no", "desk", False),
        ("1", "anything.at.all", True),
        ("desk", "desk", True),
        ("desk", "desk.parts", True),
        ("desk", "desktop", False),
        ("desk.parts", "desk", False),
        ("checks, desk", "desk", True),
        ("desk", "os", False),
    ],
)
def test_modules_are_allowed_by_name_with_what_lies_beneath(text: str, module: str, allowed: bool) -> None:
    assert (module in allowed_python(text)) is allowed


@pytest.mark.parametrize("said", [NO_PYTHON, ANY_PYTHON, AllowedPython(("desk", "a.b"))])
def test_what_is_allowed_comes_out_of_a_worker_s_environment_as_it_went_in(said: AllowedPython) -> None:
    assert allowed_python(str(said)) == said


@pytest.mark.parametrize("text", ["desk;os", "desk:answer", "../desk", "2"])
def test_a_setting_that_names_no_modules_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="ESCALON_ALLOW_PYTHON"):
        read_settings({"ESCALON_ALLOW_PYTHON": text})


def settings_of(tmp_path: Path, allowed: str) -> Settings:
    return read_settings({"ESCALON_DATA": str(tmp_path), "ESCALON_ALLOW_PYTHON": allowed})


def test_a_directory_without_allowed_functions_takes_no_module_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    find_pipeline(settings_of(tmp_path, "desk,json"), written(tmp_path, '[workers.work]\nhandler = "json:dumps"\n'))
    assert str(tmp_path) not in sys.path
    find_pipeline(settings_of(tmp_path, "desk"), written(tmp_path, WORKER))
    assert sys.path[0] == str(tmp_path)


def test_a_package_is_not_imported_to_find_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "__init__.py").write_text("raise RuntimeError('it ran')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ConfigError, match="ESCALON_ALLOW_PYTHON=trap"):
        load_pipeline(written(tmp_path, '[workers.work]\nhandler = "trap.inner:f"\n'))
    assert "trap" not in sys.modules
