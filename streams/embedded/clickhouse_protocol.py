"""One statement in ClickHouse's HTTP protocol: its kind, its guards, its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from streams.core.errors import ServiceError

STATUS_OF_CODE: Final = {
    6: 400, 27: 400, 36: 400, 46: 404, 47: 404, 48: 501, 60: 404, 62: 400, 81: 404, 115: 400, 159: 408,
    164: 403, 202: 503, 241: 500, 344: 501, 367: 415, 373: 409, 497: 403, 516: 403,
}  # fmt: skip
"""HTTP status of a ClickHouse error code, as the server answers; any other code is 500."""

TRANSPORT_PARAMETERS: Final = frozenset({
    "query", "database", "default_format", "query_id", "session_id", "session_timeout", "session_check",
    "user", "password", "quota_key", "role", "readonly", "compress", "decompress", "buffer_size", "wait_end_of_query",
    "client_protocol_version", "stacktrace", "enable_http_compression", "http_zlib_compression_level",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "add_http_cors_header",
    "cancel_http_readonly_queries_on_client_close", "async_insert", "wait_for_async_insert",
})  # fmt: skip
"""URL parameters that are not settings of the engine. Asynchronous inserts would be acknowledged unstored."""

SAFE_TABLE_FUNCTIONS: Final = frozenset({
    "dictionary", "format", "fuzzjson", "generaterandom", "generateseries", "generate_series", "input", "loop",
    "merge", "null", "numbers", "numbers_mt", "primes", "values", "view", "viewifpermitted", "zeros", "zeros_mt",
})  # fmt: skip
"""Table functions (lower case) that use neither files nor the network: the only ones that a reader may call."""

STREAMED_FORMATS: Final = frozenset(
    {"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow", "JSONCompactEachRow"}
)
"""Formats whose blocks can be concatenated, so that a result can be streamed."""

# Possessive, so nothing backtracks; an unclosed literal reaches to the end, which the engine refuses. So the time to
# scan a statement is linear in its length.
_STRING = r"'(?:\\.|''|[^'\\])*+(?:'|\\?\Z)"
_QUOTED_NAME = r"`(?:\\.|``|[^`\\])*+(?:`|\\?\Z)|\"(?:\\.|\"\"|[^\"\\])*+(?:\"|\\?\Z)"
_COMMENT = r"--[^\n]*+|#[ !][^\n]*+|/\*(?:(?>.*?\*/)|.*+)"
_LEXEME = re.compile(rf"(?P<string>{_STRING})|(?P<here>\$\w*+\$)|(?P<name>{_QUOTED_NAME})|(?:{_COMMENT})", re.S)
MAX_DOLLARS: Final = 1000
"""The most marks of unclosed heredocs in one statement."""
_INSERT = re.compile(
    rf"(?:\s|{_COMMENT})*+(?P<sql>INSERT\b(?:[^'`\"]|{_STRING}|{_QUOTED_NAME})*?)"
    r"\bFORMAT\s++(?P<format>\w++)[ \t]*+;?[ \t]*+(?:\r?\n)?".encode(),
    re.I | re.S,
)
_READS = re.compile(r"[\s(]*+(SELECT|WITH|SHOW|DESC|DESCRIBE|EXPLAIN|EXISTS|CHECK|VALUES|FROM)\b", re.I)
_SETTINGS = re.compile(rf"{_STRING}|{_QUOTED_NAME}|{_COMMENT}|(?P<settings>\bSETTINGS\s++\w++\s*+=)", re.I | re.S)
_FORMAT_CLAUSE = re.compile(r"\bFORMAT\s++(\w++)\s*+(?:SETTINGS\b.*+|;?\s*+)\Z", re.I | re.S)
_FORMAT_BYTES = re.compile(_FORMAT_CLAUSE.pattern.encode(), re.I | re.S)
_KAFKA_ENGINE = re.compile(r"\bENGINE\s*+=?\s*+[`\"]?Kafka\b", re.I)
_OUTFILE = re.compile(r"\bINTO\s+OUTFILE\b", re.I)
_CALL = re.compile(r"\b(\w++)[`\"]?\s*+\(")
_FILE_AS_TABLE = re.compile(r"[`\"][^`\"]*/[^`\"]*[`\"]|\b(?:FROM|JOIN|TABLE)\s+''", re.I)


class QueryError(ServiceError):
    """A query that failed, with ClickHouse's own numeric `code` and text."""

    def __init__(self, code: int, what: str, name: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {what} ({name})")
        self.code = code

    @classmethod
    def from_engine(cls, error: Exception) -> QueryError:
        """Convert an error of the engine, without the prefix of the Python binding."""
        text = str(error)
        found = re.search(r"Code: (\d+)\. DB::Exception: ", text)
        if found is None:
            return cls(1002, text, "UNKNOWN_EXCEPTION")
        parsed = cls(int(found[1]), "", "")
        message = text[found.start() :].strip()
        parsed.args, parsed.what = (message,), message
        return parsed

    @property
    def status(self) -> int:
        return STATUS_OF_CODE.get(self.code, 500)


class Insert(NamedTuple):
    """An INSERT whose rows follow in the body: the statement without FORMAT, the format, the offset of the rows."""

    sql: str
    format: str
    rows_at: int

    def from_file(self, path: str) -> str:
        """Return the same INSERT with its rows in a file, which the grammar expects before the settings."""
        settings = next((one.start() for one in _SETTINGS.finditer(self.sql) if one["settings"]), len(self.sql))
        head, tail = self.sql[:settings], self.sql[settings:]
        return f"{head}\nFROM INFILE '{path}' COMPRESSION 'none'\n{tail}\nFORMAT {self.format}"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement: its text, its text without literals and comments, and its FORMAT."""

    text: bytes
    skeleton: str
    reads: bool
    """True if it returns a result and changes nothing."""
    selects: bool
    """True for a SELECT, which can be streamed and described."""
    format: str | None

    @classmethod
    def parse(cls, text: bytes) -> Statement:
        """Parse only what the HTTP protocol needs; the engine parses the rest."""
        skeleton = skeleton_of(text.decode("utf-8", "replace"))
        clause = _FORMAT_CLAUSE.search(skeleton)
        reads = _READS.match(skeleton)
        selects = reads is not None and reads[1].upper() in ("SELECT", "WITH", "FROM")
        return cls(text, skeleton, reads is not None, selects, clause[1] if clause and reads else None)

    def without_format(self) -> bytes:
        clause = _FORMAT_BYTES.search(self.text) if self.format else None
        return self.text[: clause.start()] if clause else self.text


def skeleton_of(sql: str) -> str:
    """Replace comments by a blank and string literals by empty ones; quoted names stay."""
    parts, at, unclosed = [], 0, 0
    while found := _LEXEME.search(sql, at):
        parts.append(sql[at : found.start()])
        at = found.end()
        if mark := found["here"]:
            close = sql.find(mark, at)
            if close < 0:  # a name with dollars, not a heredoc
                unclosed += 1
                parts.append("$")
                at = found.start() + 1
            else:
                parts.append("''")
                at = close + len(mark)
        else:
            parts.append(found["name"] or ("''" if found["string"] else " "))
        if unclosed > MAX_DOLLARS:
            raise QueryError(62, f"Syntax error: more than {MAX_DOLLARS} dollar signs in names.", "SYNTAX_ERROR")
    return "".join([*parts, sql[at:]])


def find_insert(head: bytes) -> Insert | None:
    """Return the INSERT … FORMAT at the start of a body, None for any other statement."""
    found = _INSERT.match(head)
    if found is None:
        return None
    sql = found["sql"].decode("utf-8", "replace")
    if re.search(r"\b(SELECT|VALUES)\b", skeleton_of(sql), re.I):
        return None
    return Insert(sql, found["format"].decode(), found.end())


def guard(skeleton: str, *, readonly: bool, outside: frozenset[str]) -> None:
    """Refuse statements that a shared engine must not run; `outside` are functions (lower case) barred to readers."""
    if _KAFKA_ENGINE.search(skeleton):
        raise QueryError(
            344,
            "ENGINE = Kafka is refused by the embedded server: the engine could not open the data directory "
            "again. Let the audit sink write the rows, or use a ClickHouse server.",
            "SUPPORT_IS_DISABLED",
        )
    if _OUTFILE.search(skeleton):
        raise QueryError(344, "INTO OUTFILE is for clients only; save the response instead.", "SUPPORT_IS_DISABLED")
    if skeleton.rstrip().rstrip(";").find(";") >= 0:
        raise QueryError(62, "Syntax error (Multi-statements are not allowed)", "SYNTAX_ERROR")
    if not readonly:
        return
    if not _READS.match(skeleton):  # the engine itself would allow a reader SYSTEM and KILL
        raise QueryError(164, "A reader may only read. Log in as a user that may write.", "READONLY")
    called = {name.lower() for name in _CALL.findall(skeleton)} & outside
    if called or _FILE_AS_TABLE.search(skeleton):
        through = f"the function {min(called)}" if called else "a path as a table"
        raise QueryError(497, f"A reader may not reach files or the network through {through}.", "ACCESS_DENIED")
