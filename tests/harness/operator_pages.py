"""The operator's pages in this process, on an audit that answers what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from streams.app.settings import read_settings
from streams.audit.named_queries import named_query
from streams.audit.query import QueryResult
from streams.audit.sql_text import bound
from streams.pipeline.load import Pipeline
from streams.ui.app import make_app
from streams.ui.links import LinkSigner
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.guard import OPERATOR_COOKIE
from streams.ui.operator.pages import make_operator_site
from streams.ui.operator.reads import AuditReads, NamedAudit

ORIGIN = "http://127.0.0.1:8484"
OPERATOR_KEY = "k" * 32
Answer = QueryResult | Callable[[Mapping[str, Any]], QueryResult]


def table(columns: str, *rows: Iterable[Any]) -> QueryResult:
    """Return a result of named columns."""
    names = columns.split()
    return QueryResult(names, ["String"] * len(names), [tuple(row) for row in rows])


@dataclass
class FakeAudit:
    """An audit whose named queries have the given answers, or functions of their parameters; else no rows."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def named(self, name: str, run: str = "live", **parameters: Any) -> QueryResult:
        query = named_query(name)
        values = bound(query.sql, ({"run": run} if "run" in query.parameters else {}) | parameters, query.defaults)
        self.asked.append((name, values))
        answer = self.answers.get(name, table(""))
        return answer(values) if callable(answer) else answer

    def close(self) -> None:
        """Do nothing."""


def operator_site(
    audit: NamedAudit, directory: Path, pipeline: Pipeline | None = None, **settings: Any
) -> OperatorSite:
    """Return the site of the pages on an audit."""
    read = read_settings(
        {
            "ESCALON_DATA": str(directory),
            "ESCALON_UI_KEY": OPERATOR_KEY,
            "ESCALON_CLICKHOUSE": "http://127.0.0.1:9",
            **settings,
        }
    )
    return make_operator_site(read, pipeline, AuditReads(lambda: audit), LinkSigner(OPERATOR_KEY))


def visitor(site: OperatorSite, *, token: str | None = None) -> httpx2.AsyncClient:
    """Return a browser with the operator's session, or with another token in its cookie."""
    transport = httpx2.ASGITransport(app=make_app({"127.0.0.1:8484"}, operator=site), raise_app_exceptions=False)
    cookies = {OPERATOR_COOKIE: site.signer.operator_token() if token is None else token}
    return httpx2.AsyncClient(transport=transport, base_url=ORIGIN, cookies=cookies)
