from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def run(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "bench.listener", *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_a_missing_set_is_reported_as_skipped(tmp_path: Path) -> None:
    assert [line.partition(",")[0] for line in run("--data", str(tmp_path)).splitlines()] == [
        "snips: skipped",
        "sms: skipped",
    ]


def test_accuracy_calibration_and_speed_are_reported_for_the_sets_that_are(tmp_path: Path) -> None:
    rows = [{"text": f"{word} number {n}", "label": label} for n in range(20) for word, label in WORDS.items()]
    (tmp_path / "sms_spam.jsonl").write_text("\n".join(map(json.dumps, rows)))
    figures = json.loads(run("--data", str(tmp_path), "--seeds", "1", "--json"))
    assert "skipped" in figures["snips"]
    for kind in ("embedding", "embedding + n-grams"):
        assert figures["sms"][kind]["accuracy"] == 1
        assert figures["sms"][kind]["ece"] < 0.2
        assert figures["sms"][kind]["single_per_s"] > 0


WORDS = {"winner prize": "spam", "see you later": "ham"}
