"""The named queries: their list, and one with its SQL, parameters, rows and command; and a box for one's own SQL."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.audit.named_queries import DEFAULTS, NamedQuery, library, named_query
from streams.audit.query import QueryResult
from streams.audit.result_text import text_of, write_csv
from streams.core.errors import ConfigError
from streams.core.harmless import harmless
from streams.ui.operator.forms import form_token, operator_form
from streams.ui.operator.frame import operator_route, render, scope_of, secrets_hider, site_of
from streams.ui.operator.scope import Scope

SHOWN_ROWS: Final = 500
CELL_CHARACTERS: Final = 600
"""The most characters of a cell on a page."""
MAX_SQL: Final = 20_000
EXAMPLE: Final = (
    "SELECT tier, handler, count() AS calls, sum(cost_usd) AS usd\nFROM calls\nGROUP BY ALL\nORDER BY usd DESC"
)
NUMERIC: Final = re.compile(r"(LowCardinality\()?(Nullable\()?(U?Int|Float|Decimal)")
CSV: Final = "text/csv; charset=utf-8"


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [
        operator_route("/query", show_list),
        operator_route("/query", ask, methods=("POST",)),
        operator_route("/query/{name}.csv", download),
        operator_route("/query/{name}", show_one),
    ]


async def show_list(request: Request) -> Response:
    """List the named queries, with the box for one's own SQL."""
    await scope_of(request)
    own = {one.name: _own_parameters(one) for one in library().values()}
    return render(
        request, "queries.html", "Queries", queries=library().values(), own=own, sql=EXAMPLE,
        csrf=form_token(request), table=None, error=None,
    )  # fmt: skip


async def ask(request: Request) -> Response:
    """Run one's own SQL, read-only and within the limits. It comes by POST, so that no address or log has it."""
    form = await operator_form(request)
    sql = form.get("sql", "")[:MAX_SQL]
    table: dict[str, Any] | None = None
    error: ConfigError | None = None
    try:
        table = shown_rows(await site_of(request).reads.audit(("sql", sql), lambda audit: audit.ask(sql)))
    except ConfigError as wrong:
        error = wrong
    return render(
        request, "queries.html", "Your query", status=400 if error else 200, queries=(), own={}, sql=sql,
        csrf=form_token(request), table=table, error=error,
    )  # fmt: skip


async def show_one(request: Request) -> Response:
    """Show a named query with its rows. The range of the page fills in parameters that the address leaves out."""
    scope = await scope_of(request)
    query, values = _asked(request, scope)
    answer = await site_of(request).reads.named(query.name, None, **values)
    return render(
        request, "query.html", f"Query {query.name}", query=query, values=values, command=command(query, values),
        table=shown_rows(answer), csv=scope.link(f"/query/{query.name}.csv", **_beside(scope, values)),
    )  # fmt: skip


async def download(request: Request) -> Response:
    """Return all rows as CSV."""
    query, values = _asked(request, await scope_of(request))
    answer = await site_of(request).reads.named(query.name, None, **values)
    file = io.StringIO()
    write_csv(answer, file)
    headers = {"Content-Disposition": f'attachment; filename="{query.name}.csv"'}
    return Response(secrets_hider()(file.getvalue()), media_type=CSV, headers=headers)


def command(query: NamedQuery, values: Mapping[str, str]) -> str:
    """Return the command that gives the same rows in a terminal."""
    given = {name: value for name, value in values.items() if value != query.defaults.get(name)}
    words = ["escalon", "query", "--name", query.name]
    for name in ("run", "since", "until"):
        if name in given:
            words += [f"--{name}", given.pop(name).replace(" ", "T").removesuffix(".000000")]
    for name, value in given.items():
        words += ["--param", f"{name}={value}"]
    return shlex.join(words)


def shown_rows(answer: QueryResult) -> dict[str, Any]:
    """Return the first SHOWN_ROWS rows as texts, with what the page says of them."""
    return {
        "columns": answer.columns,
        "numbers": [NUMERIC.match(one) is not None for one in answer.types],
        "rows": [[cell(value) for value in row] for row in answer.rows[:SHOWN_ROWS]],
        "count": len(answer.rows),
        "cut": answer.cut,
    }


def cell(value: Any) -> str:
    """Return a value as text of at most CELL_CHARACTERS, without characters that control a screen."""
    if isinstance(value, (Decimal, float)):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    text = "–" if value is None else harmless(text_of(value))
    return text if len(text) <= CELL_CHARACTERS else f"{text[:CELL_CHARACTERS]}…"


def _asked(request: Request, scope: Scope) -> tuple[NamedQuery, dict[str, str]]:
    """Return the query and its parameters: of the address, else of the page's range, else its defaults."""
    query = named_query(request.path_params["name"])
    ranged = {name: str(value) for name, value in scope.parameters().items()}
    known = {**query.defaults, **ranged}
    asked = request.query_params
    return query, {name: asked.get(name) or known.get(name, "") for name in query.parameters}


def _own_parameters(query: NamedQuery) -> list[str]:
    return [name for name in query.parameters if name not in DEFAULTS]


def _beside(scope: Scope, values: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that the range of the page does not have already."""
    return {name: value for name, value in values.items() if name not in dict(scope.query)}
