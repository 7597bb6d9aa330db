"""matplotlib figures as inline SVG: in the page's colours and font, without ids that clash or addresses."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.wording import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PX_AN_INCH = 72
"""One pixel of a picture is one unit of its SVG."""
MARGIN_PX = 16
"""The margin of paper around a picture that is a file of its own."""
_UNWANTED = ("metadata", "style", "title")
_REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")
_COLOUR = re.compile("|".join(map(re.escape, COLOURS.values())))
_NAMES = {value: name for name, value in COLOURS.items()}


def new_figure(width_px: int, height_px: int) -> Figure:
    """An empty figure of that size. Draw in `house_style()`; no window system is asked for."""
    from matplotlib.figure import Figure

    return Figure((width_px / PX_AN_INCH, height_px / PX_AN_INCH), dpi=PX_AN_INCH)


def svg_of(figure: Figure) -> str:
    """The figure as the text of an SVG file; equal figures give equal texts."""
    text = io.StringIO()
    with house_style(), warnings.catch_warnings():
        # The reader's browser sets the text, in a font that has the sign.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return printable(text.getvalue())


def inline_svg(picture: Figure | str, prefix: str, description: str) -> str:
    """A figure, or its `svg_of`, as one <svg> element of an HTML page.

    Ids that are referred to get `prefix`, which must be unique in the page; the others go. The
    style's colours become var(--name); text keeps its size and takes the page's font. `description` is what
    a screen reader says.
    """
    root = ElementTree.fromstring(picture if isinstance(picture, str) else svg_of(picture))
    used = {name for element in root.iter() for value in element.attrib.values() for name in _references(value)}
    for element in root.iter():
        _drop_unwanted(element)
        element.tag = element.tag.rpartition("}")[2]
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        element.attrib = dict(_rewritten(attributes, used, prefix))
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": root.attrib["viewBox"].split()[2],
        "role": "img",
        "aria-label": description,
    }
    return ElementTree.tostring(root, encoding="unicode")


def svg_file(inline: str) -> str:
    """An `inline_svg` as the text of a file: on paper, with a margin, light or dark as its reader's setting is."""
    root = ElementTree.fromstring(inline)
    left, top, wide, high = map(float, root.attrib["viewBox"].split())
    left, top, wide, high = left - MARGIN_PX, top - MARGIN_PX, wide + 2 * MARGIN_PX, high + 2 * MARGIN_PX
    box = {"x": f"{left:g}", "y": f"{top:g}", "width": f"{wide:g}", "height": f"{high:g}"}
    root.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "viewBox": " ".join(box.values())}
    root.attrib |= {"width": box["width"], "height": box["height"]}
    root.insert(0, ElementTree.Element("rect", {**box, "style": "fill: var(--paper)"}))
    style = ElementTree.Element("style")
    style.text = _page_style()
    root.insert(0, style)
    return ElementTree.tostring(root, encoding="unicode")


@cache
def _page_style() -> str:
    """The page's colours, light and dark, and its font, from its style sheet."""
    sheet = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    colours, _, rest = sheet.partition("\n* {")
    font = re.search(r"font: \S+ (.+);", rest)
    assert font is not None
    return f"{colours.replace(':root', 'svg')}\nsvg {{ font-family: {font[1]}; }}"


def _references(value: str) -> Iterator[str]:
    for match in _REFERENCE.finditer(value):
        yield match[1] or match[2]


def _drop_unwanted(element: ElementTree.Element) -> None:
    """A <style> inside an inline SVG would hold for the whole page; metadata names addresses."""
    for child in list(element):
        if child.tag.rpartition("}")[2] in _UNWANTED:
            element.remove(child)


def _rewritten(attributes: Mapping[str, str], used: set[str], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in attributes.items():
        if key == "id":
            if value in used:
                yield key, prefix + value
        elif key == "style":
            style = re.sub(r"font-family:[^;]*;?\s*", "", value)
            style = _COLOUR.sub(lambda match: f"var(--{_NAMES[match[0]]})", style)
            yield key, re.sub(r"url\(#", f"url(#{prefix}", style)
        elif key == "href":
            # Else an image's data, which matplotlib breaks into lines.
            yield key, "#" + prefix + value[1:] if value.startswith("#") else "".join(value.split())
        else:
            yield key, re.sub(r"url\(#", f"url(#{prefix}", value)
