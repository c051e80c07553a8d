"""The packaged support desk: as a starter pipeline in a user's directory, and as the demo's own copy."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from shutil import copytree, ignore_patterns

from streams.core.errors import ConfigError
from streams.demo.recording import ABOUT, FILE
from streams.pipeline.dialects import CAPABILITIES, Dialect

MODELS = ("local", "claude", "openai")
SAMPLE_EVENTS = 12
HANDLER = 'handler = "desk:'
PEOPLE, RESOLVE = '"reasoners.people"', '"reasoners.resolve"'
_ALLOW = "# Runs once you take out the marks and start with ESCALON_ALLOW_PYTHON=desk, for it is Python."
_NO_THINKING = """\
max_tokens = 600
parameters = { thinking = { type = "disabled" } } # else Claude thinks first, and max_tokens must hold that as well
"""
_SOME_THINKING = """\
max_tokens = 8000 # Claude Opus 5.5 always thinks first: that counts into max_tokens and is billed as output
parameters = { effort = "low" } # it thinks less
"""
_SEEING = "images = true"
"""In the models of a pack: the worker's model is shown photos, so that it can say what they show."""
_FILED_UNSEEN = """\
[workers.file]
handler = "desk:file_photo"
inputs = ["text", "image"]
"""
_FILED_BY_SIGHT = """\
# The model is shown the photo, and files it under what it shows.
[workers.file]
task = "extract"
model = "worker"
prompt = "prompts/photo.j2"
schema = "schemas/photo.json"
inputs = ["text", "image"]
refusal = "none"
max_tokens = 160
"""
# Where a model gives no token log-probabilities, it states its confidence.
_WITHOUT_LOGPROBS = (('confidence = ["logprob"', 'confidence = ["verbalized"'),)
_BEST_TOKENS = "parameters = { temperature = 0 } # servers draw the tokens at random by default\n"
_WITHOUT_CHANCE = tuple(
    (f"max_tokens = {most}\n", f"max_tokens = {most}\n{_BEST_TOKENS}") for most in (160, 60, 200, 80)
)
_FOR_CLAUDE = (
    *_WITHOUT_LOGPROBS,
    ("max_tokens = 160\n", _NO_THINKING),
    ("max_tokens = 60\n", _NO_THINKING),
    ("max_tokens = 200\n", _SOME_THINKING),
    ("max_tokens = 80\n", _SOME_THINKING),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server with OpenAI's API that the demo asks. A model of None keeps the pack's own name."""

    base_url: str
    dialect: Dialect
    worker: str | None = None
    reasoner: str | None = None

    def changes(self) -> tuple[tuple[str, str], ...]:
        """Return what else of the pack is written otherwise."""
        # OpenAI's reasoning models take no temperature.
        sure = () if self.dialect == "openai" else _WITHOUT_CHANCE
        return sure if CAPABILITIES[self.dialect].logprobs else (*_WITHOUT_LOGPROBS, *sure)

    def put_into(self, tables: str) -> str:
        """Return the pack's tables of models with these values."""
        worker, mark, reasoner = tables.partition("[models.reasoner]")
        return self._put(worker, self.worker) + self._put(mark + reasoner, self.reasoner)

    def _put(self, table: str, model: str | None) -> str:
        lines = {"base_url": self.base_url, "dialect": self.dialect} | ({"model": model} if model else {})
        for key, value in lines.items():
            before, _, after = table.partition(f'\n{key} = "')
            table = f"{before}\n{key} = {json.dumps(value)}{after.partition(chr(34))[2]}"  # a basic string of TOML
        return table


def write_pack(directory: Path, models: str, server: Server | None = None) -> Path:
    """Copy the whole support desk into `directory`, for one of MODELS; returns the pipeline file."""
    if models not in MODELS:
        raise ConfigError(f"{models!r} is not known.", f"Use one of: {', '.join(MODELS)}.", "--models")
    with as_file(files("streams.demo") / "pack") as pack:
        copytree(pack, directory, dirs_exist_ok=True, ignore=ignore_patterns("models-*.toml", "__pycache__"))
        chosen = (pack / f"models-{models}.toml").read_text("utf-8")
    pipeline = directory / "pipeline.toml"
    changes: tuple[tuple[str, str], ...] = _FOR_CLAUDE if models == "claude" else ()
    if server is not None:
        chosen, changes = server.put_into(chosen), server.changes()
    text = pipeline.read_text("utf-8") + chosen
    text = text.replace(_FILED_UNSEEN, _FILED_BY_SIGHT) if _SEEING in chosen else text
    for local, other in changes:
        text = text.replace(local, other)
    pipeline.write_text(text, "utf-8")
    return pipeline


def without_python(text: str) -> str:
    """Return a pipeline file with its Python functions, and the routes to them, put into comments.

    What only people may answer goes to the reasoner that refuses it.
    """
    text = re.sub(r'^confidence = \["(\w+)", "desk:\w+"\]$', r'# \g<0>\nconfidence = "\1"', text, flags=re.M)
    text = re.sub(r'^correct = "desk:', r"# \g<0>", text, flags=re.M)
    tables = text.replace(f"delicate = {PEOPLE}", f"delicate = {RESOLVE}").split("\n\n")
    named = {
        name for table in tables if HANDLER in table for name in re.findall(r"^\[(workers\.[\w-]+)\]", table, re.M)
    }
    return "\n\n".join(_commented(table, named) for table in tables)


def _commented(table: str, named: set[str]) -> str:
    lines = table.split("\n")
    whole = HANDLER in table
    shown = [f"# {one}" if whole or any(f'= "{name}"' in one for name in named) else one for one in lines]
    return "\n".join([_ALLOW, *(one.replace("# # ", "# ") for one in shown)] if whole else shown)


def write_starter(directory: Path, models: str) -> Path:
    """Write the support desk as a starting point, with a few sample events and without Python."""
    pipeline = write_pack(directory, models)
    pipeline.write_text(without_python(pipeline.read_text("utf-8")), "utf-8")
    _write_sample(directory)
    for surplus in ("events.jsonl", "truth.jsonl", FILE, ABOUT):
        (directory / surplus).unlink(missing_ok=True)
    for image in (directory / "images").iterdir():
        image.unlink()
    (directory / "images").rmdir()
    return pipeline


def _write_sample(directory: Path) -> None:
    """Write the first texts without their times, so that they happen when they are published."""
    rows = [json.loads(line) for line in (directory / "events.jsonl").read_text("utf-8").splitlines()]
    texts = [row for row in rows if "image" not in row][:SAMPLE_EVENTS]
    with (directory / "sample.jsonl").open("w", encoding="utf-8") as file:
        for row in texts:
            del row["time"]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
