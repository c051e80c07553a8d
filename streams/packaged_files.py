"""Find the files of escalon that are not Python: schemas, DDL, the broker's pom.

In the repository they are at its top level; in an installed wheel inside the package.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_IN_REPOSITORY = {"schemas": "schemas", "clickhouse": "infra/clickhouse", "kafka": "infra/kafka"}


def resource(name: str) -> Path:
    """The directory of `schemas`, `clickhouse` or `kafka`."""
    packaged = _PACKAGE / "_resources" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / _IN_REPOSITORY[name]
