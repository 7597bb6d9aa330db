"""The site of docs/ and of the docstrings, made by Sphinx: `make docs` writes it to build/site.

A warning ends the build (`-W`), and so does a cross-reference to a name of ours that the site does not have (`-n`). A
page that would load anything from the internet ends it as well.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.errors import ExtensionError

import budgetnet

project = "budgetnet"
author = "the authors of budgetnet"
version = release = budgetnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "budgetnet"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False

# Anchors of headings as GitHub makes them, so that a link works on both.
myst_heading_anchors = 4
# Commands are shown with their output; blocks with an option that no lexer knows stay as they are.
suppress_warnings = ["misc.highlighting_failure"]

napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_member_order = "bysource"
# Types stand beside the arguments that they belong to, and the signature has names and defaults alone.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

# Names of other libraries have no page here, and the build does not ask the internet for theirs. The rows within the
# results of experiments are described by what --json prints of them, in formats.md.
ROWS = r"budgetnet\.(experiments\..*|cluster\..*|runs\.record\.Record|budgets\.coefficient_space\.Region)"
nitpick_ignore_regex = [("py:.*", r"(?!budgetnet).*"), ("py:class", ROWS)]

default_role = "name"
# Formulas of docstrings are not Python; examples with >>> are told by themselves.
highlight_language = "none"
EXTERNAL = re.compile(
    r"""<(?:script|img|iframe)[^>]*\ssrc="(?:https?:)?//|<link[^>]*rel="stylesheet"[^>]*href="https?:"""
)


def name_role(
    role: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = ()
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """What docstrings write in backticks: a link where it is a public name, and code."""
    shown = nodes.literal(text, text)
    if text not in budgetnet.__all__:
        return [shown], []
    return [pending_xref("", shown, refdomain="py", reftype="obj", reftarget=f"budgetnet.{text}", refexplicit=True)], []


def check_pages(app: Sphinx, error: Exception | None) -> None:
    """Raise where a page loads anything from the internet: the site is read offline, too."""
    if error is not None or app.builder.format != "html":
        return
    wrong = [page.name for page in Path(app.outdir).rglob("*.html") if EXTERNAL.search(page.read_text("utf-8"))]
    if wrong:
        raise ExtensionError(f"these pages load something from the internet: {', '.join(sorted(wrong))}")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_role("name", name_role)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.connect("build-finished", check_pages)
