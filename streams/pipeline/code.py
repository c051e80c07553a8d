"""Python that a pipeline file names, and the operator's permission for it.

A pipeline file is data. It may name code only where the operator allows it, and only of the modules that are allowed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.core.errors import ConfigError
from streams.pipeline.files import is_beside, module_of

if TYPE_CHECKING:  # the settings need the setting alone, without the pipeline file and what reads it
    from streams.pipeline import spec as s

SETTING: Final = "ESCALON_ALLOW_PYTHON"
EVERY: Final = "1"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class AllowedPython:
    """The modules whose functions a pipeline file may name, each with its submodules; EVERY allows all."""

    modules: tuple[str, ...] = ()

    def __contains__(self, module: str) -> bool:
        return any(one == EVERY or module == one or module.startswith(f"{one}.") for one in self.modules)

    def __str__(self) -> str:
        return ",".join(self.modules)


NO_PYTHON: Final = AllowedPython()
ANY_PYTHON: Final = AllowedPython((EVERY,))
_WORDS: Final = {"": NO_PYTHON, "0": NO_PYTHON, "no": NO_PYTHON, "false": NO_PYTHON} | dict.fromkeys(
    (EVERY, "yes", "true"), ANY_PYTHON
)


def allowed_python(text: str) -> AllowedPython:
    """Read the setting: modules separated by commas, 1 for any, 0 for none. Raises ConfigError for anything else."""
    if (word := _WORDS.get(text.strip().lower())) is not None:
        return word
    modules = tuple(name.strip() for name in text.split(",") if name.strip())
    if not all(_MODULE.fullmatch(name) for name in modules):
        raise ConfigError(
            f"{text!r:.200} is not a list of modules.", "Separate them by commas, as in desk,checks.", SETTING
        )
    return AllowedPython(modules)


def functions_in(spec: s.PipelineSpec) -> Iterator[tuple[str, str]]:
    """Yield every `package.module:function` of a file, after the key that names it."""
    for table in ("listeners", "workers", "reasoners"):
        for name, one in getattr(spec, table).items():
            key = f"{table}.{name}"
            if path := getattr(one, "handler", None):
                yield f"{key}.handler", path
            yield from ((f"{key}.confidence", source) for source in getattr(one, "confidence", ()) if ":" in source)
            correct = getattr(one, "correct", None)
            if correct is not None and ":" in correct.by:
                yield f"{key}.correct", correct.by
    if spec.redaction is not None and spec.redaction.function:
        yield "redaction.function", spec.redaction.function


def refused_functions(spec: s.PipelineSpec, allowed: AllowedPython) -> dict[str, str]:
    """Return every function of a file that is not allowed, by the key that names it."""
    return {key: path for key, path in functions_in(spec) if module_of(path) not in allowed}


def check_allowed(spec: s.PipelineSpec, allowed: AllowedPython) -> None:
    """Raise ConfigError for the first function that is not allowed; its remedy allows all of them."""
    refused = refused_functions(spec, allowed)
    if refused:
        key, path = next(iter(refused.items()))
        needed = dict.fromkeys([*allowed.modules, *map(module_of, refused.values())])
        what = f"{path} is Python, and the operator has not allowed the module {module_of(path)}."
        remedy = f"Read what it does; then allow it with {SETTING}={','.join(needed)}, or remove the key."
        raise ConfigError(what, remedy, key)


def make_importable(spec: s.PipelineSpec, directory: Path) -> None:
    """Put the pipeline file's directory on Python's path if the file names functions of a module there.

    With no need for it, any other file in it could shadow one of Python's own modules.
    """
    if any(is_beside(directory, path) for _, path in functions_in(spec)):
        sys.path.insert(0, str(directory))
