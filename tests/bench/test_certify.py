"""The bench of certificates: true claims are granted, false ones are not."""

from __future__ import annotations

from bench.certify import evaluate


def test_of_streams_that_were_judged_whole_only_true_claims_are_granted() -> None:
    rows = evaluate(0.03, [0.02, 0.03, 0.05], streams=3, tasks=200, cases=200)
    assert [(row["claim"], row["true"], row["granted"]) for row in rows] == [
        ("error <= 0.02", False, 0.0),
        ("error <= 0.03", True, 1.0),
        ("error <= 0.05", True, 1.0),
    ]
