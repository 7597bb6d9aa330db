"""Pages from templates: one HTML file each, in one frame, with one style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from budgetnet.draw.wording import printable


def render_page(template: Path, values: Mapping[str, Any]) -> str:
    """The text of a page whose template extends frame.html.j2, which stands beside this file.

    A template finds others in its own folder and here, by their names.

    All text is escaped: names of classes and files are the user's.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return printable(environment.get_template(template.name).render(values))
