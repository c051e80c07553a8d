"""Asks pip-audit whether any pinned dependency has a known hole: `python infra/audit.py requirements.lock`.

Exit code 0 when it knows of none, 1 when it knows of one. Where its service cannot be reached nothing was looked at:
that is said, as loud as a line can be, and is no failure, for the change at hand did not cause it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SECONDS = 300
_COMMAND = ["-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]


def asked(lock: Path) -> tuple[str, str]:
    """pip-audit's report, empty when it made none, and what it said on the way."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, *_COMMAND, "--requirement", str(lock), "--output", str(report)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            return "", f"it was not done after {SECONDS} s"
        return report.read_text("utf-8") if report.is_file() else "", done.stderr


def verdict(report: str, said: str) -> tuple[int, str]:
    """The exit code and what to tell, of a report and of what was said where there is none."""
    if not report.strip():
        last = said.strip().splitlines()[-1][:300] if said.strip() else "it said nothing"
        return 0, f"\nSKIPPED: the dependencies were NOT audited, for pip-audit could not: {last}\n"
    packages = json.loads(report)["dependencies"]
    found = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no release yet'}"
        for one in packages
        for hole in one.get("vulns", ())
    ]
    if found:
        return 1, "\n".join([f"{len(found)} known holes in the pinned dependencies:", *found])
    skipped = [f"{one['name']} ({one['skip_reason']})" for one in packages if "skip_reason" in one]
    if len(skipped) == len(packages):
        why = skipped[0] if skipped else "the lock file names none"
        return 0, f"\nSKIPPED: the dependencies were NOT audited, none of {len(packages)} was looked at: {why}\n"
    more = f" Not looked at: {', '.join(skipped)}." if skipped else ""
    return 0, f"No known hole in {len(packages) - len(skipped)} pinned packages.{more}"


def main(arguments: Sequence[str]) -> int:
    """Audit one lock file; returns the exit code."""
    code, told = verdict(*asked(Path(arguments[0])))
    sys.stdout.write(f"{told}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
