"""The stages of a candidate pipeline, as a replay builds them from its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from streams.adapters.codec import Codec
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.core.messages import Call, Verdict
from streams.pipeline.handlers import Handler
from streams.replay.changelogs import Changelogs
from streams.replay.counted import CostLimitError, ReplaySpending, WouldAskError, refuse
from streams.replay.drive import BrokenOffError, Tiers
from streams.replay.stages import Stages
from streams.replay.store import ReplayStore
from tests.builders import event
from tests.harness.stages import build

EMAIL = "jo@x.org"
FILE = """
name = "desk"

[models.m]
provider = "recorded"
model = "m"
cassette = "none.jsonl"
priced_as = "claude-opus-4-8"

[models.spare]
provider = "recorded"
model = "m"
cassette = "none.jsonl"
priced_as = "claude-opus-4-8"

[redaction]
detect = ["email"]

[listeners.rules]
kind = "rules"
rules = { order = ["order"] }

[routes]
order = "workers.answer"
unsure = "ignore"

[workers.answer]
task = "answer"
model = "m"
fallback = "spare"
"""
PRICED = 'priced_as = "claude-opus-4-8"\n'


@contextmanager
def replaying(
    directory: Path,
    text: str = FILE,
    limit: Decimal | None = None,
    before: Callable[[Handler, Task], None] = refuse,
) -> Iterator[Tiers]:
    """The stages of a pipeline file, over an empty store."""
    (directory / "none.jsonl").write_text("", "utf-8")
    pipeline, settings = build(directory, text), read_settings({"ESCALON_DATA": str(directory)})
    with ReplayStore(directory / "run", Codec()) as store:
        stages = Stages(
            settings=settings,
            pipeline=pipeline,
            providers=Providers(pipeline, settings),
            store=store,
            spending=ReplaySpending(limit),
            changelogs=cast(Changelogs, None),  # read for images alone
            before=before,
        )
        yield stages.tiers()


@pytest.mark.parametrize("place", [0, 1], ids=["the model's", "its fallback's"])
def test_no_limit_can_be_kept_for_calls_without_a_price(tmp_path: Path, place: int) -> None:
    own, spare, rest = FILE.split(PRICED)
    text = own + spare + PRICED + rest if place == 0 else own + PRICED + spare + rest
    with (
        pytest.raises(ConfigError, match="no price, so no limit can be kept"),
        replaying(tmp_path, text, Decimal(1)),
    ):
        pass


def test_without_a_limit_calls_need_no_price(tmp_path: Path) -> None:
    with replaying(tmp_path, FILE.replace(PRICED, "")) as tiers:
        assert set(tiers.callers["worker"]) == {"answer"}


async def test_a_call_over_the_limit_is_not_made(tmp_path: Path) -> None:
    asked = list[str]()
    with (
        replaying(tmp_path, limit=Decimal(0), before=lambda handler, _: asked.append(handler.name)) as tiers,
        pytest.raises(BrokenOffError) as broken,
    ):
        await tiers(event(text="an order"))
    assert isinstance(broken.value.__cause__, CostLimitError)
    assert asked == []


async def test_a_rehearsal_ends_before_the_first_call_and_its_records_are_redacted(tmp_path: Path) -> None:
    with replaying(tmp_path) as tiers, pytest.raises(BrokenOffError) as broken:
        await tiers(event(text=f"an order for {EMAIL}"))
    assert isinstance(broken.value.__cause__, WouldAskError)
    call, verdict = broken.value.rows
    assert isinstance(call, Call)
    assert isinstance(verdict, Verdict)
    assert (call.handler, verdict.handler) == ("rules", "answer")
    assert "[email]" in call.prompt
    assert EMAIL not in call.prompt
