"""What ClickHouse's HTTP protocol says about one statement: its kind, its guards, its errors."""

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
"""URL parameters that are no settings of the engine. An asynchronous insert would be acknowledged unwritten."""

SAFE_TABLE_FUNCTIONS: Final = frozenset({
    "dictionary", "format", "fuzzjson", "generaterandom", "generateseries", "generate_series", "input", "loop",
    "merge", "null", "numbers", "numbers_mt", "primes", "values", "view", "viewifpermitted", "zeros", "zeros_mt",
})  # fmt: skip
"""Table functions that touch neither files nor the network (lower case): all that a reader may call."""

STREAMED_FORMATS: Final = frozenset(
    {"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow", "JSONCompactEachRow"}
)
"""Formats whose blocks can be concatenated, so that a result need not be held whole."""

# Each takes what it takes and gives nothing back, and what is not closed reaches to the end, which the engine refuses:
# so a statement is looked through in a time that grows with its length, whatever it holds.
_STRING = r"'(?:\\.|''|[^'\\])*+(?:'|\\?\Z)"
_QUOTED_NAME = r"`(?:\\.|``|[^`\\])*+(?:`|\\?\Z)|\"(?:\\.|\"\"|[^\"\\])*+(?:\"|\\?\Z)"
_COMMENT = r"--[^\n]*+|#[ !][^\n]*+|/\*(?:(?>.*?\*/)|.*+)"
_LEXEME = re.compile(rf"(?P<string>{_STRING})|(?P<here>\$\w*+\$)|(?P<name>{_QUOTED_NAME})|(?:{_COMMENT})", re.S)
MAX_DOLLARS: Final = 1000
"""Marks of a heredoc that is never closed, in one statement."""
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
        """The same error without the words that the Python binding puts in front of it."""
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
        """The HTTP status that carries this error."""
        return STATUS_OF_CODE.get(self.code, 500)


class Insert(NamedTuple):
    """An INSERT whose rows follow in the body: the statement without FORMAT, the format, where rows begin."""

    sql: str
    format: str
    rows_at: int

    def from_file(self, path: str) -> str:
        """The same INSERT with its rows in a file; the grammar wants the file in front of the settings."""
        settings = next((one.start() for one in _SETTINGS.finditer(self.sql) if one["settings"]), len(self.sql))
        head, tail = self.sql[:settings], self.sql[settings:]
        return f"{head}\nFROM INFILE '{path}' COMPRESSION 'none'\n{tail}\nFORMAT {self.format}"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its text, what it looks like without literals and comments, and its own FORMAT."""

    text: bytes
    skeleton: str
    reads: bool
    """It gives a result and changes nothing."""
    selects: bool
    """It is a SELECT, which can be streamed and described."""
    format: str | None

    @classmethod
    def parse(cls, text: bytes) -> Statement:
        """Look at `text` only as far as the HTTP protocol must; the engine parses it properly."""
        skeleton = skeleton_of(text.decode("utf-8", "replace"))
        clause = _FORMAT_CLAUSE.search(skeleton)
        reads = _READS.match(skeleton)
        selects = reads is not None and reads[1].upper() in ("SELECT", "WITH", "FROM")
        return cls(text, skeleton, reads is not None, selects, clause[1] if clause and reads else None)

    def without_format(self) -> bytes:
        """The text up to its FORMAT clause."""
        clause = _FORMAT_BYTES.search(self.text) if self.format else None
        return self.text[: clause.start()] if clause else self.text


def skeleton_of(sql: str) -> str:
    """The statement with comments as a blank and string literals empty; quoted names stay."""
    parts, at, unclosed = [], 0, 0
    while found := _LEXEME.search(sql, at):
        parts.append(sql[at : found.start()])
        at = found.end()
        if mark := found["here"]:
            close = sql.find(mark, at)
            if close < 0:  # no heredoc, but a name with dollars
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
    """The INSERT … FORMAT at the start of a body, None when it is any other statement."""
    found = _INSERT.match(head)
    if found is None:
        return None
    sql = found["sql"].decode("utf-8", "replace")
    if re.search(r"\b(SELECT|VALUES)\b", skeleton_of(sql), re.I):
        return None
    return Insert(sql, found["format"].decode(), found.end())


def guard(skeleton: str, *, readonly: bool, outside: frozenset[str]) -> None:
    """Refuse what a shared engine must not run; `outside` are functions (lower case) barred to readers."""
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
    if not _READS.match(skeleton):  # the engine itself would still let a reader say SYSTEM and KILL
        raise QueryError(164, "A reader may only ask. Use a login that may write.", "READONLY")
    called = {name.lower() for name in _CALL.findall(skeleton)} & outside
    if called or _FILE_AS_TABLE.search(skeleton):
        through = f"the function {min(called)}" if called else "a path as a table"
        raise QueryError(497, f"A reader may not reach files or the network through {through}.", "ACCESS_DENIED")
