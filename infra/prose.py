"""Check the project's prose: `python infra/prose.py [FILES…]`, without files all that git tracks.

Of a Python file it reads docstrings, comments, names of functions and, outside the tests, string literals; of Markdown
all text but code. It reports forbidden phrases and docstrings that begin with a question word, as `file:line: phrase →
write …`, and exits with 1 if it found any. A line that quotes a phrase on purpose ends with `# prose: quoted`.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

RULES = [
    (
        r"(?<!there\s)(?<!where\s)\b(?:is|are|was|were|be) no\b(?! (?:longer|more|less|better|worse|other)\b)",
        "is not a …",
    ),
    (r"\bmend(?:s|ed|ing)?\b", "fix"),
    (r"\banew\b", "again"),
    (r"\b(?:tell|tells|told|telling)\b", "report, print, say, distinguish"),
    (r"\bstands\b(?! for\b)|\bstood\b", "is, remains, holds"),
    (r"\bfor ever\b", "indefinitely"),
    (r"\bof (?:ours|theirs|its own right)\b", "our, their"),
    (r"\b(?:is|are|was|were|be|been|being|stays?) away\b", "unavailable, unreachable"),
    (r"\bin hand\b|\bat hand\b", "in flight, available"),
    (r"\bas it were\b|\bso to speak\b", "nothing"),
    (r"\b(?:that|which|what) (?:is|are) (?:not )?(?:there|here)\b", "exists, is installed, is running"),
    (r"\bcomes? to\b(?! (?:light|mind)\b)", "reaches, becomes, totals"),
    (r"\b(?:of|for) want of\b", "without, because … is missing"),
    (r"\bin good order\b", "cleanly"),
    (r"\blest\b", "so that … not"),
    (r"\bwho(?:ever|soever)\b|\bwhatever\b|\bwhichever\b", "the noun that you mean"),
    (r"\b(?:no|some)body\b", "the component that you mean"),
    (r"\bin the same breath\b|\bon (?:its|their) way\b", "at once, in flight"),
]
_RULES = [(re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE), advice) for pattern, advice in RULES]
_QUESTION = re.compile(r"\s*((?:What|How|Which|Where|Whether|Who|Whose|When|As)(?:ever)?)\b")
_CODE = re.compile(r"^( *)(```|~~~).*?^\1\2$|``[^`]+``|`[^`]+`|<!--.*?-->|\]\([^)]*\)", re.MULTILINE | re.DOTALL)
_OWN = {"infra/prose.py", "tests/infra/test_prose.py"}  # they quote every phrase


class PhraseFound(NamedTuple):
    line: int
    phrase: str
    advice: str


def _without_code(text: str) -> str:
    return _CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0][:-1]) + "·", text)


def _phrases(text: str, line: int = 1) -> Iterator[PhraseFound]:
    text = _without_code(text)
    for rule, advice in _RULES:
        for found in rule.finditer(text):
            yield PhraseFound(line + text.count("\n", 0, found.start()), " ".join(found[0].split()), advice)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Consecutive comment lines as one text, with the line of the first."""
    block: list[str] = []
    end = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != end + 1:
            yield end - len(block) + 1, "\n".join(block)
            block = []
        block.append(token.string.lstrip("# "))
        end = token.start[0]
    if block:
        yield end - len(block) + 1, "\n".join(block)


def in_python(source: str, literals: bool = True) -> list[PhraseFound]:
    """Return what is wrong in a Python file; without `literals` only a string that is a docstring is read."""
    found = [finding for line, text in _comments(source) for finding in _phrases(text, line)]
    tree = ast.parse(source)
    documents = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name.replace("_", " ")
            found += [PhraseFound(node.lineno, f"{node.name}: {hit.phrase}", hit.advice) for hit in _phrases(name)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (literals or id(node) in documents):
            found += _phrases(node.value, node.lineno)
            if id(node) in documents and (word := _QUESTION.match(node.value)):
                found.append(PhraseFound(node.lineno, f'"""{word[1]} …', "an imperative verb or the field's noun"))
    quoted = {number for number, line in enumerate(source.splitlines(), 1) if line.rstrip().endswith("# prose: quoted")}
    return sorted(finding for finding in found if finding.line not in quoted)


def in_file(path: Path) -> list[PhraseFound]:
    """Return what is wrong in one file, by its kind."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        return in_python(text, literals="tests" not in path.parts)
    return sorted(_phrases(text))


def main(arguments: Sequence[str]) -> int:
    """Print the findings in the files named, or in all tracked ones; return the exit code."""
    tracked = ["git", "ls-files", "*.py", "*.md"]
    names = arguments or subprocess.run(tracked, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    total = 0
    for name in names:
        if name in _OWN or Path(name).suffix not in (".py", ".md"):
            continue
        for line, phrase, advice in in_file(Path(name)):
            sys.stdout.write(f"{name}:{line}: {phrase} → write {advice}\n")
            total += 1
    if total:
        sys.stdout.write(f"{total} phrases to rewrite.\n")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
