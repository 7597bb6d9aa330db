"""Whether people can read a picture: every text whole, large enough where pages show it, and on no other text."""

from __future__ import annotations

import itertools

from matplotlib.figure import Figure
from matplotlib.text import Text

from budgetnet.draw.style import house_style

SHOWN_PX, LEAST_PX = 900, 11.9
"""How wide a page of docs shows a picture, and 9 pt, which are 12 pixels of such a page."""
TOUCH_PX = 1.5


def texts_of(figure: Figure) -> list[Text]:
    """All texts that are drawn: of tick labels those within the limits."""
    with house_style():
        figure.draw_without_rendering()
    hidden: set[int] = set()
    for axes in figure.axes:
        for axis, limits, which in ((axes.xaxis, axes.get_xlim(), 0), (axes.yaxis, axes.get_ylim(), 1)):
            low, high = sorted(limits)
            shown = axis.get_majorticklabels() if axes.axison else []
            within = {id(text) for text in shown if low - 1e-9 <= text.get_position()[which] <= high + 1e-9}
            hidden |= {id(text) for text in axis.findobj(Text)} - within - {id(axis.label)}
    found = [one for one in figure.findobj(Text) if isinstance(one, Text) and id(one) not in hidden]
    return [one for one in found if one.get_visible() and one.get_text().strip()]


def unreadable(figure: Figure) -> list[str]:
    """What is wrong with the texts of a figure, a line each."""
    wide, high = figure.get_size_inches() * figure.dpi
    texts, said = texts_of(figure), list[str]()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts]  # of notes without their lines
    for text in texts:
        shown = float(text.get_fontsize()) * figure.dpi / 72 * min(1.0, SHOWN_PX / wide)
        if shown < LEAST_PX:
            said.append(f"{text.get_text()!r} is {shown:.1f} px")
    for name, box in boxes:
        if box.x0 < -1 or box.y0 < -1 or box.x1 > wide + 1 or box.y1 > high + 1:
            said.append(f"{name!r} is cut off")
    for (name, box), (other, beside) in itertools.combinations(boxes, 2):
        across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        up = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        if across > TOUCH_PX and up > TOUCH_PX:
            said.append(f"{name!r} is on {other!r}")
    return said
