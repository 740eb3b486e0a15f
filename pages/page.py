"""A page from its template: every text escaped, written whole or not at all."""

import os
import tempfile
from pathlib import Path
from typing import Any

import jinja2


def render(template: Path, **values: Any) -> str:
    """Return the page that `template` makes of `values`.

    Every text is escaped. A template extends `frame.html`, which holds the head and the look, and
    imports `charts.html` for plots.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def write_page(file: Path, html: str) -> None:
    """Write the page whole, or leave what was there. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=".draft-")
    try:
        # A lone surrogate has no UTF-8: it is shown as its number.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as target:
            target.write(html)
        os.rename(draft, file)
    finally:
        Path(draft).unlink(missing_ok=True)
