"""W3C trace contexts, and span ids that are the same each time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.telemetry.trace_context import TraceContext, is_sampled, read_traceparent, span_of_call, span_of_handling

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


@given(hexadecimal(32), hexadecimal(16), st.booleans())
def test_a_context_reads_as_it_was_written(trace: str, span: str, sampled: bool) -> None:
    context = TraceContext(trace, span, sampled)
    assert read_traceparent(context.header()) == context


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
    ],
)
def test_an_invalid_header_gives_no_context(text: str | None) -> None:
    assert read_traceparent(text) is None


def test_only_the_flag_for_sampled_is_read() -> None:
    read = [read_traceparent(f"00-{TRACE}-{SPAN}-{flags}") for flags in ("00", "01", "02", "03")]
    assert [one and one.sampled for one in read] == [False, True, False, True]


def test_a_calls_span_id_is_the_beginning_of_its_id() -> None:
    assert span_of_call("0123456789abcdef" * 2) == "0123456789abcdef"


@given(st.text())
def test_any_call_id_gives_a_valid_span_id(call_id: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", span_of_call(call_id))
    assert span_of_call(call_id) != "0" * 16


def test_a_message_has_the_same_span_id_each_time_and_another_message_another_one() -> None:
    ids = [
        span_of_handling(TRACE, "events", 0, 7),
        span_of_handling(TRACE, "events", 0, 8),
        span_of_handling(TRACE, "events", 1, 7),
        span_of_handling(TRACE, "verdicts", 0, 7),
        span_of_handling(TRACE[::-1], "events", 0, 7),
    ]
    assert len(set(ids)) == 5
    assert ids[0] == span_of_handling(TRACE, "events", 0, 7)


@given(hexadecimal(32))
def test_none_is_chosen_of_0_percent_and_all_of_100(trace: str) -> None:
    assert (is_sampled(trace, 0), is_sampled(trace, 100)) == (False, True)


@given(hexadecimal(32), st.integers(0, 99))
def test_a_larger_share_holds_the_smaller_one(trace: str, percent: int) -> None:
    assert is_sampled(trace, percent + 1) or not is_sampled(trace, percent)


def test_the_share_is_that_of_opentelemetrys_own_sampler() -> None:
    sampling = pytest.importorskip("opentelemetry.sdk.trace.sampling")
    sampler = sampling.TraceIdRatioBased(0.25)
    for last in range(64):
        trace = f"{TRACE[:16]}{last << 58:016x}"
        recorded = sampler.should_sample(None, int(trace, 16), "x").decision.is_sampled()
        assert is_sampled(trace, 25) == recorded, trace
