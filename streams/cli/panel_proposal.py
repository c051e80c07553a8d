"""The candidate pipeline that `escalon panel report --propose` writes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.app.settings import read_settings
from streams.calibration.risk_control import Target
from streams.cli.context import find_pipeline
from streams.core.errors import ConfigError
from streams.core.messages import Panel
from streams.panels.answer_calls import AnswerCall
from streams.panels.evidence import PanelEvidence
from streams.panels.pipeline_edit import unified_diff, with_value
from streams.panels.proposal import Proposal, ProposalRequest, Proposals, propose
from streams.pipeline.load import load_pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedChange:
    """The candidate file and the commands that would prove it; without a proposal the reasons alone."""

    proposals: Proposals
    file: Path | None = None
    diff: str = ""
    commands: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield what to print."""
        chosen = next(iter(self.proposals.found), None)
        yield ""
        if chosen is None:
            yield "Nothing is proposed, and no file was written:"
        else:
            yield f"Proposed: {chosen.setting} (now {chosen.before}). {chosen.why}"
            yield f"Wrote {self.file}.\n\n{self.diff}\n\nThe panel speaks for it. To prove it on the stream:"
            yield from (f"  {command}" for command in self.commands)
        yield from (f"- Next: {one.setting}. {one.why}" for one in self.proposals.found[1:])
        yield from (f"- {reason}" for reason in self.proposals.not_found)

    def document(self) -> dict[str, Any]:
        """Return it for the JSON document."""
        found = [{"setting": one.setting, "before": one.before, "why": one.why} for one in self.proposals.found]
        return {
            "found": found,
            "not_found": list(self.proposals.not_found),
            "file": None if self.file is None else str(self.file),
            "diff": self.diff,
            "commands": list(self.commands),
        }


def proposed_change(
    evidence: PanelEvidence,
    answers: Mapping[str, AnswerCall],
    pipeline: Path | None,
    file: Path,
    max_error: float,
    certainty: float,
) -> ProposedChange:
    """Write the candidate with the most important proposal to a file beside the pipeline, and return what to say.

    Raises ConfigError if the file cannot be written there, or the candidate would not be a valid pipeline.
    """
    settings = read_settings()
    loaded = find_pipeline(settings, pipeline)
    _check_place(file, loaded.path)
    found = propose(ProposalRequest(evidence, answers, loaded, Target(max_error, certainty)))
    if not found.found:
        return ProposedChange(proposals=found)
    before = loaded.path.read_text("utf-8")
    chosen = found.found[0]
    after = with_value(before, chosen.table, chosen.key, chosen.value)
    try:
        file.write_text(after, "utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}).", "Name another file.", "propose") from error
    load_pipeline(file.absolute(), settings.python)
    return ProposedChange(
        proposals=found,
        file=file,
        diff=unified_diff(before, after, loaded.path.name, file.name),
        commands=_commands(evidence.panel, file, chosen),
    )


def _check_place(file: Path, pipeline: Path) -> None:
    if file.absolute() == pipeline.absolute():
        raise ConfigError(f"{file} is the pipeline itself.", "Name a new file, which you can compare.", "propose")
    if file.absolute().parent.resolve() != pipeline.absolute().parent.resolve():
        what = f"{file} is not in the pipeline's directory, and the paths in it are relative to that."
        raise ConfigError(what, f"Write it to {pipeline.parent / file.name}.", "propose")


def _commands(panel: Panel, file: Path, chosen: Proposal) -> tuple[str, ...]:
    run, since = f"{panel.panel}-candidate", "" if panel.since is None else f" --since {panel.since.isoformat()}"
    until = f" --until {panel.until.isoformat()}"
    return (
        f"escalon what-if --set {shlex.quote(chosen.setting)}",
        f"escalon replay --pipeline {shlex.quote(str(file))} --run {shlex.quote(run)}{since}{until}",
        f"escalon compare {shlex.quote(panel.run)} {shlex.quote(run)}",
    )
