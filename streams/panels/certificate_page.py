"""A certificate as an HTML page."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from streams.evaluation.html_document import html_document
from streams.panels.certificate_text import time_range
from streams.panels.claims import ErrorClaim, read_claim
from streams.panels.decision import EVEN, percentage

if TYPE_CHECKING:
    from streams.panels.certificate import Certificate, PanelBasis

_STYLE: Final = """
.digest { overflow-wrap: anywhere; }
.rates th { white-space: nowrap; }
.verdict p { margin: .25rem 0; }
.plots { max-width: 40rem; }
"""
_COMPLETENESS: Final = {
    "proven": "Proven: every event has exactly one end, and every record its row in the audit.",
    "unproven": "Unproven: no fault was found, but not everything could be compared, as said above.",
    "faulty": "Faulty: the verification found the faults above.",
}


def certificate_page(made: Certificate, digest: str) -> str:
    """Render the page of a certificate, about 30 kB; `digest` is the hash of its document."""
    quality = made.quality
    values: dict[str, Any] = {
        "made": made,
        "digest": digest,
        "when": time_range(made.since, made.until),
        "made_at": f"{made.made_at:%Y-%m-%d %H:%M} UTC",
        "certainty": percentage(made.certainty),
        "rates": [
            [one.name, f"{one.tasks:,}", f"{one.cases:,}", percentage(one.low), percentage(one.high)]
            for one in ((quality.total, *quality.tiers) if quality is not None else ())
        ],
        "figures": _figures(made),
        "proven": made.completeness.state == "proven",
        "completeness": _COMPLETENESS[made.completeness.state],
        "ends": _counts(made.completeness.ends),
        "panels": [(one.panel, _evidence(one)) for one in (quality.panels if quality is not None else ())],
        "pipelines": _counts(made.outcomes),
        "rows": _counts(made.rows),
    }
    template = files("streams.panels").joinpath("certificate_page.html").read_text("utf-8")
    return html_document(template, values, title=f"Certificate: {made.claim}", style=_STYLE)


def _counts(counts: Any) -> list[list[str]]:
    return [[str(name).replace("_", " "), f"{count:,}"] for name, count in counts.items()]


def _evidence(one: PanelBasis) -> list[list[str]]:
    return [
        ["time", time_range(one.since, one.until)],
        ["tasks drawn from", f"{one.tasks:,}"],
        ["cases drawn", f"{one.cases:,}"],
        ["cases counted", f"{one.counted:,}"],
        ["raters of a case", str(one.raters_per_case)],
        ["judgements", f"{one.judgements:,}"],
        ["rubric", one.rubric],
        ["pipeline whose policy redacted them", one.pipeline],
        ["cases and contents, SHA-256", one.cases_digest],
        ["judgements, SHA-256", one.judgements_digest],
    ]


def _figures(made: Certificate) -> list[tuple[str, str]]:
    """Draw both bounds after each case of a single panel, and the rate that the claim names."""
    from streams.evaluation.plots import BLUE, INK
    from streams.evaluation.svg_plots import svg_axes

    quality, claim = made.quality, read_claim(made.claim)
    if quality is None or not quality.moments:
        return []
    named, end = (claim.limit, "wrong, %") if isinstance(claim, ErrorClaim) else (EVEN, "wins, %")
    cases, low, high = zip((0, 0.0, 1.0), *quality.moments, strict=True)
    with svg_axes("bounds") as plot:
        for side in (low, high):
            plot.axes.step(cases, [100 * value for value in side], where="post", color=BLUE, linewidth=1.5)
        plot.axes.axhline(100 * named, color=INK, linewidth=1, linestyle="--")
        plot.axes.locator_params(axis="x", integer=True)
        top = 1.0 if named == EVEN else min(1.0, 5 * max(named, quality.total.high))
        plot.axes.set(xlim=(0, cases[-1]), ylim=(0, 100 * top), xlabel="judged cases, as drawn", ylabel=end)
    return [("Both bounds after each judged case; the dashed line is the claim", plot.svg)]
