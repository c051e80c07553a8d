"""The JSON document of `escalon verify`."""

from __future__ import annotations

import json
from collections import Counter

from streams.audit.verify.report import VerifyReport, VerifyRequest
from streams.cli.verify import _document


def test_what_is_young_or_unproven_is_counted_by_its_kind_in_json_too() -> None:
    report = VerifyReport(young=Counter(lost_event=2), unproven=Counter(stray_row=3))
    found = json.loads(json.dumps(_document(report, VerifyRequest(run="live", now=0, grace=1000))))
    assert (found["young"], found["unproven"]) == ({"lost_event": 2}, {"stray_row": 3})
    assert (found["run"], found["grace_seconds"]) == ("live", 1.0)
