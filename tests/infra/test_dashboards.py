"""The dashboards: valid, and each panel's SQL runs and gives what the panel shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml  # type: ignore[import-untyped]

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit, QueryResult
from tests.harness.audit import write
from tests.harness.dashboards import (
    BOARDS,
    CLICKHOUSE,
    DIRECTORY,
    PROMETHEUS,
    expanded,
    panels,
)
from tests.harness.known_audit import RUN, everything


@pytest.fixture(scope="module")
def audit(config: ClickHouseConfig) -> Iterator[Audit]:
    write(config, *everything())
    opened = Audit(replace(config, username="reader"))
    yield opened
    opened.close()


def asked(audit: Audit, panel: dict[str, Any]) -> QueryResult:
    (target,) = panel["targets"]
    failed_ones = {"run": "'live'"} if panel["title"] == "Newest failures" else {}  # the run under test has none
    return audit.ask(expanded(target["rawSql"], **failed_ones))


def test_there_are_three_dashboards_with_ids_of_their_own() -> None:
    assert set(BOARDS) == {"overview", "explorer", "quality"}
    assert {board["uid"] for board in BOARDS.values()} == {f"escalon-{name}" for name in BOARDS}
    for board in BOARDS.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        assert "id" not in board


def test_no_two_panels_lie_over_each_other_and_all_fit_the_grid() -> None:
    for name, board in BOARDS.items():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, f"{name}: {panel['title']}"
            assert at["x"] + at["w"] <= 24
            taken |= cells


def test_every_panel_asks_a_source_that_is_provisioned() -> None:
    text = (DIRECTORY / "provisioning/datasources/escalon.yml").read_text("utf-8")
    sources = {source["uid"]: source["type"] for source in yaml.safe_load(text)["datasources"]}
    assert set(sources) == {CLICKHOUSE, PROMETHEUS}
    for board in BOARDS.values():
        used = [panel["datasource"] for panel in board["panels"] if panel["type"] != "row"]
        used += [target["datasource"] for panel in board["panels"] for target in panel.get("targets", ())]
        used += [one["datasource"] for one in board["templating"]["list"] if one["type"] == "query"]
        assert {(one["uid"], one["type"]) for one in used} <= set(sources.items())


@pytest.mark.parametrize(("name", "panel"), [pytest.param(name, one, id=name) for name, one in panels(CLICKHOUSE)])
def test_a_panel_gets_the_rows_and_columns_it_shows(audit: Audit, name: str, panel: dict[str, Any]) -> None:
    answer = asked(audit, panel)
    (target,) = panel["targets"]
    assert name
    assert len(answer.rows) > 0, "the data set has something for each panel"
    named = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
    assert named <= set(answer.columns)
    if panel["type"] == "timeseries":
        assert (target["format"], target["queryType"]) == (0, "timeseries")
        assert answer.columns[0] == "time"
        times = [row[0] for row in answer.rows]
        assert times == sorted(times)
        assert sum(kind.startswith(("Float", "UInt", "Decimal", "Nullable(")) for kind in answer.types) == 1
    else:
        assert (target["format"], target["queryType"]) == (1, "table")
    if panel["type"] == "stat":
        assert (len(answer.rows), len(answer.columns)) == (1, 1)


def value(audit: Audit, title: str) -> Any:
    (panel,) = [one for name, one in panels(CLICKHOUSE) if name == title]
    return float(asked(audit, panel).rows[0][0])


def test_the_figures_at_the_top_are_those_of_the_run(audit: Audit) -> None:
    assert value(audit, "overview: Events") == 5
    assert value(audit, "overview: Spent") == 0.0425
    assert value(audit, "overview: Saved, net") == pytest.approx(0.0575)
    assert value(audit, "overview: Reached a reasoner") == 0.2
    assert value(audit, "overview: From the store") == pytest.approx(1 / 12)
    assert value(audit, "overview: Failed") == 0


def test_variables_are_declared_and_their_queries_run(audit: Audit) -> None:
    for name, board in BOARDS.items():
        declared = {one["name"]: one for one in board["templating"]["list"]}
        used = set(re.findall(r"\$\{(\w+):", json.dumps([panel.get("targets") for panel in board["panels"]])))
        assert used <= set(declared), name
        runs = [row[0] for row in audit.ask(declared["run"]["query"]["rawSql"]).rows]
        assert runs[0] == "live"
        assert RUN in runs


def test_links_lead_to_a_dashboard_and_variable_that_exist() -> None:
    links = re.findall(r'"url": "(/d/[^"]+)"', json.dumps(list(BOARDS.values())))
    assert links
    for link in links:
        uid, _, rest = link.removeprefix("/d/").partition("?")
        (board,) = [one for one in BOARDS.values() if one["uid"] == uid]
        assert "var-event_id=${__value.text:percentencode}" in rest
        assert {"run", "event_id"} <= {one["name"] for one in board["templating"]["list"]}


def test_prometheus_is_asked_for_metrics_that_the_processes_have(root: Path) -> None:
    code = "\n".join(file.read_text("utf-8") for file in sorted((root / "streams" / "telemetry").glob("*.py")))
    asked_for = set(re.findall(r"escalon_(\w+)", json.dumps([panel["targets"] for _, panel in panels(PROMETHEUS)])))
    assert asked_for
    for metric in asked_for:
        stem = re.sub(r"_(total|bucket|sum|count)$", "", metric)
        assert f'"{stem}"' in code or f'"escalon_{stem}"' in code, metric


def test_the_compose_service_mounts_what_is_provisioned_and_asks_as_the_reader(root: Path) -> None:
    services = yaml.safe_load((root / "docker-compose.yml").read_text("utf-8"))["services"]
    grafana = services["grafana"]
    assert grafana["profiles"] == ["dashboards"]
    mounts = {volume["target"]: volume["source"] for volume in grafana["volumes"]}
    provider = yaml.safe_load((DIRECTORY / "provisioning/dashboards/escalon.yml").read_text("utf-8"))["providers"][0]
    assert (root / mounts[provider["options"]["path"]]).resolve() == DIRECTORY / "dashboards"
    assert (root / mounts["/etc/grafana/provisioning"]).resolve() == DIRECTORY / "provisioning"
    text = (DIRECTORY / "provisioning/datasources/escalon.yml").read_text("utf-8")
    source = next(one for one in yaml.safe_load(text)["datasources"] if one["uid"] == CLICKHOUSE)
    assert f"{source['type']}@" in grafana["environment"]["GF_PLUGINS_PREINSTALL_SYNC"]
    assert source["secureJsonData"]["password"].lstrip("$") in grafana["environment"]
    (users,) = [one for one in services["clickhouse"]["volumes"] if isinstance(one, dict)]
    tree = ElementTree.parse(root / users["source"])  # noqa: S314  our own file
    user = source["jsonData"]["username"]
    assert [one.text for one in tree.findall(f"users/{user}/grants/query")] == ["GRANT SELECT ON escalon.*"]
    assert tree.findtext(f"users/{user}/profile") == "reader"
    assert tree.findtext("profiles/reader/readonly") == "2"


def everything_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a dashboard with its value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield str(key), inner
        yield from everything_in(inner)


@pytest.mark.parametrize("name", BOARDS)
def test_what_a_cell_holds_is_shown_as_text_and_goes_into_an_address_encoded(name: str) -> None:
    """Grafana's tables draw text as text; a panel of HTML, a drawn type of cell or a raw link would not."""
    found = list(everything_in(BOARDS[name]))
    assert not [value for key, value in found if key == "type" and value in ("text", "html", "news")]
    kinds = {value["type"] for key, value in found if key == "cellOptions"}
    assert kinds <= {"auto", "color-text", "color-background", "gauge"}
    assert not [value for key, value in found if key.lower().startswith("disablesanitize") and value]
    urls = [value for key, value in found if key == "url"]
    spelt = [part for url in urls for part in re.findall(r"\$\{__(?:value|data)[^}]*\}", url)]
    assert all(part.endswith(":percentencode}") for part in spelt), spelt


def test_grafana_itself_does_not_trust_html(root: Path) -> None:
    assert "GF_PANELS_DISABLE_SANITIZE_HTML" not in (root / "docker-compose.yml").read_text("utf-8")
