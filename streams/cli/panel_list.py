"""escalon panel list."""

from __future__ import annotations

from streams.cli.audit_access import open_audit
from streams.cli.console import out, print_json, table
from streams.cli.options import JsonLinesOption

_PANELS = """
SELECT
    panels.panel AS panel,
    panels.state AS state,
    panels.run AS run,
    panels.options AS options,
    panels.cases AS cases,
    coalesce(ended.finished, 0) AS finished,
    panels.raters_per_case AS raters_per_case,
    length(panels.people) AS people,
    panels.created_at AS created_at
FROM panels
LEFT JOIN
(
    SELECT panel, countIf(adjudicated OR raters >= raters_per_case) AS finished
    FROM
    (
        SELECT
            judgements.panel AS panel,
            judgements.case_id AS case_id,
            any(panels.raters_per_case) AS raters_per_case,
            uniqExactIf(judgements.judge, judgements.kind != 'adjudication') AS raters,
            countIf(judgements.kind = 'adjudication') > 0 AS adjudicated
        FROM judgements
        INNER JOIN panel_cases ON panel_cases.panel = judgements.panel AND panel_cases.case_id = judgements.case_id
        INNER JOIN panels ON panels.panel = judgements.panel
        WHERE judgements.judge_kind = 'person' AND panel_cases.purpose = 'sample'
        GROUP BY panel, case_id
    )
    GROUP BY panel
) AS ended ON ended.panel = panels.panel
ORDER BY created_at DESC, panel
"""


def list_panels(as_json: JsonLinesOption = False) -> None:
    """List the panels, the newest first, with the number of cases that all their raters have judged or skipped."""
    with open_audit() as audit:
        panels = audit.query(_PANELS).records()
    if as_json:
        for one in panels:
            print_json(one)
        return
    if not panels:
        out.print("There is no panel yet. Make one: escalon panel new NAME --rubric FILE", highlight=False)
        return
    columns = ["panel", "state", "run", "compares", "finished", "raters a case", "people", "created"]
    rows = [
        (
            one["panel"], one["state"], one["run"], " and ".join(one["options"]) if len(one["options"]) > 1 else "",
            f"{one['finished']} of {one['cases']}", one["raters_per_case"], one["people"],
            one["created_at"].isoformat(" ", "minutes"),
        )
        for one in panels
    ]  # fmt: skip
    out.print(table(columns, rows))
