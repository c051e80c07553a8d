"""The documentation of figures, and the rules on them, name what there is and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from streams.app.process import TIERS
from streams.telemetry import lag
from streams.telemetry.metrics import REGISTRY

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
GRAMMAR = {"by", "sum", "min", "max", "rate", "increase", "delta", "and", "or", "unless", "offset", "up"}


def metrics() -> dict[str, tuple[str, set[str]]]:
    """Every metric of escalon by its documented name: its kind and its labels."""
    found: dict[str, tuple[str, set[str]]] = dict.fromkeys((lag.NAME, lag.HELD_NAME), ("gauge", {"topic", "partition"}))
    for collector in set(REGISTRY._collector_to_names):
        for name in REGISTRY._collector_to_names[collector]:
            kind, labels = getattr(collector, "_type", ""), getattr(collector, "_labelnames", ())
            if name.startswith("escalon_") and not name.endswith(("_created", "_bucket", "_sum", "_count")):
                if kind == "counter" and not name.endswith("_total"):
                    continue
                found.setdefault(name, (kind, set(labels)))
    return found


@pytest.fixture(scope="module")
def rules(root: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((root / "infra/prometheus/alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs/telemetry.md").read_text("utf-8")


def test_every_figure_is_documented_with_its_kind_and_labels_and_no_other_is(text: str) -> None:
    rows = re.findall(r"^\| `(escalon_\w+)` \| (\w+) \| (.+?) \|", text, re.M)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(documented) > 20
    assert documented == metrics()


def test_every_alert_is_documented_and_no_other_is(text: str, rules: list[dict[str, Any]]) -> None:
    assert set(re.findall(r"^\| `(Escalon\w+)` \|", text, re.M)) == {rule["alert"] for rule in rules}


def test_rules_name_only_figures_and_labels_that_exist(rules: list[dict[str, Any]]) -> None:
    names = {name: labels for name, (kind, labels) in metrics().items() for _ in SUFFIXES[kind]}
    labels = {"job"}.union(*names.values())
    assert rules
    for rule in rules:
        words = set(re.findall(r"[a-z_][a-z_0-9]*", re.sub(r'"[^"]*"|\[\w+\]|offset \w+', "", rule["expr"])))
        used = {word for word in words if word.startswith("escalon_")}
        assert used <= names.keys(), rule["alert"]
        assert words - used - GRAMMAR <= labels, rule["alert"]
        assert rule["expr"].count("(") == rule["expr"].count(")"), rule["alert"]


def test_what_a_summary_shows_is_a_label_that_its_rule_keeps(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = {name for group in re.findall(r"by \(([^)]*)\)", rule["expr"]) for name in group.split(", ")}
        assert shown <= kept or shown <= {"service", "instance"}, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_prometheus_asks_every_tier_on_the_port_it_serves(root: Path) -> None:
    config = yaml.safe_load((root / "infra/prometheus/prometheus.yml").read_text("utf-8"))
    services = yaml.safe_load((root / "docker-compose.yml").read_text("utf-8"))["services"]
    (discovery,) = config["scrape_configs"][0]["dns_sd_configs"]
    assert set(discovery["names"]) == set(TIERS)
    ports = {services[name]["environment"]["ESCALON_WEB_PORT"] for name in discovery["names"]}
    assert ports == {str(discovery["port"])}
    assert [name for name in config["rule_files"] if not (root / "infra/prometheus" / name).is_file()] == []


def test_links_and_variables_in_the_documentation_exist(root: Path, text: str, settings_read: set[str]) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [target for target in targets if not (root / "docs" / target).exists()] == []
    assert set(re.findall(r"\bESCALON_[A-Z_]+\b", text)) <= settings_read
