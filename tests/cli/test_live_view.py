"""The live view's rows."""

from __future__ import annotations

from rich.console import Console

from streams.adapters.codec import Codec
from streams.adapters.kafka_record import KafkaRecord
from streams.cli.live_view import LiveCounts, render
from streams.core.messages import Call
from tests.builders import START, call, event


def shown(*calls: Call) -> str:
    """The view after these calls, as text."""
    live, codec = LiveCounts(Codec()), Codec()
    for offset, one in enumerate(calls):
        live.add(KafkaRecord("calls", 0, offset, None, codec.encode(one), START))
    console = Console(width=120)
    with console.capture() as captured:
        console.print(render(live))
    return captured.get()


def test_judges_have_a_row_once_a_model_has_judged() -> None:
    of = event()
    assert "judges" not in shown(call(of))
    (line,) = (line for line in shown(call(of), call(of, "m", "judge")).splitlines() if line.startswith("judges"))
    assert line.split()[1] == "1"
