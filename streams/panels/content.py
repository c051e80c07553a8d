"""The words and answers of cases, read from the audit and redacted: all that a rater sees of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.audit.query import Audit
from streams.core.fingerprint import canonical, digest
from streams.core.messages import PanelCase
from streams.pipeline.load import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseContent:
    """One case as a rater sees it."""

    text: str
    data: str
    """Further fields as indented JSON; empty without any."""
    image: str | None
    """SHA-256 of the image in the blob store."""
    answers: Mapping[str, str]
    """The answers by option: a text, or indented JSON."""


def read_contents(audit: Audit, pipeline: Pipeline, cases: Sequence[PanelCase]) -> dict[str, CaseContent]:
    """Return the contents of cases by case id, redacted by the pipeline's policy.

    Cases are missing whose event was erased, or whose event or answer the audit no longer has.
    """
    raise NotImplementedError


def content_digest(content: CaseContent) -> str:
    """Return the hash of a case's content, as 32 hexadecimal digits."""
    return digest("case content", content.text, content.data, content.image, canonical(dict(content.answers)))
