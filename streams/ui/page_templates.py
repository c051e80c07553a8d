"""The templates of pages: all texts are escaped, and an undefined value is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_templates(directory: str) -> Environment:
    """Return the templates of a directory in `templates`."""
    return Environment(
        loader=PackageLoader("streams.ui", f"templates/{directory}"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
