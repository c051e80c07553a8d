"""Ask pip-audit for known vulnerabilities in the pinned dependencies: `python infra/dependencies.py requirements.lock`.

The exit code is 0 if it knows of none, 1 if it knows of one. If its service cannot be reached, nothing was checked; the
output says so, but the exit code is 0, because the present change did not cause it.
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


def run_pip_audit(lock: Path) -> tuple[str, str]:
    """Return pip-audit's report, empty if it wrote none, and its messages."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, *_COMMAND, "--requirement", str(lock), "--output", str(report)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            return "", f"it was not done after {SECONDS} s"
        return report.read_text("utf-8") if report.is_file() else "", done.stderr


def conclude(report: str, messages: str) -> tuple[int, str]:
    """Return the exit code and the text to print for pip-audit's report and messages."""
    if not report.strip():
        last = messages.strip().splitlines()[-1][:300] if messages.strip() else "it printed nothing"
        return 0, f"\nSKIPPED: the dependencies were NOT audited, because pip-audit failed: {last}\n"
    packages = json.loads(report)["dependencies"]
    found = [
        f"{one['name']} {one['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'no release yet'}"
        for one in packages
        for hole in one.get("vulns", ())
    ]
    if found:
        return 1, "\n".join([f"{len(found)} known vulnerabilities in the pinned dependencies:", *found])
    skipped = [f"{one['name']} ({one['skip_reason']})" for one in packages if "skip_reason" in one]
    if len(skipped) == len(packages):
        why = skipped[0] if skipped else "the lock file names none"
        return 0, f"\nSKIPPED: the dependencies were NOT audited, none of {len(packages)} was checked: {why}\n"
    more = f" Not checked: {', '.join(skipped)}." if skipped else ""
    return 0, f"No known vulnerability in {len(packages) - len(skipped)} pinned packages.{more}"


def main(arguments: Sequence[str]) -> int:
    """Audit one lock file and return the exit code."""
    code, text = conclude(*run_pip_audit(Path(arguments[0])))
    sys.stdout.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
