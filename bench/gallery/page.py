"""The gallery's page in Markdown: a table of what there is, then each exhibit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.gallery.exhibit import Exhibit

WIDTH = 120
"""Of a line, as in all of docs/."""
TELLING = ("--plot", "--beside", "--with", "--scaling", "--ablate")
HEAD = """\
# Gallery

What the pictures of budgetnet look like, and how to read them. `make gallery` makes such a page with all of its
pictures on the embedded digits; with finished runs of your own, as here:

```sh
make gallery
python -m bench.gallery --out docs --run RUN --beside RUN --with RUN RUN RUN --gates RUN --loss RUN RUN \\
    --solve RUN --compare RUN --scaling RUN --ablate RUN --study FOLDER --credit "WHOSE PHOTOS, LICENCE"
```

The page and its pictures go to runs/gallery/docs; `--out docs` writes over this page. The last command below a picture
writes it, among others, into its folder; those before made its runs. The small networks on the digits are those of
bench/gallery/runs.py. Drawings follow the reader's light or dark setting; photos, maps and landscapes stand on white.
"""


def page(exhibits: Sequence[Exhibit], folder: str) -> str:
    """The text of the page; `folder` is where the pictures are, seen from it."""
    return "\n".join([HEAD, *_table(exhibits), *(line for one in exhibits for line in _exhibit(one, folder))])


def _table(exhibits: Sequence[Exhibit]) -> Iterator[str]:
    yield "| question | picture | made by |"
    yield "| --- | --- | --- |"
    for one in exhibits:
        yield f"| {one.question} | [{one.title}](#{anchor(one.title)}) | `{short(one.commands[-1])}` |"
    yield ""


def short(command: str) -> str:
    """A command without its values: its name, and the flags that make it another picture."""
    words = command.split()
    name = words[: 3 if words[1] == "landscape" else 2]
    return " ".join([*name, *dict.fromkeys(word for word in words if word in TELLING)])


def anchor(title: str) -> str:
    """Where GitHub and others put a heading of that text."""
    return "".join(sign for sign in title.lower().replace(" ", "-") if sign.isalnum() or sign == "-")


def _exhibit(one: Exhibit, folder: str) -> Iterator[str]:
    yield f"## {one.title}"
    yield ""
    for picture in one.pictures:
        yield f"![{picture.description}]({folder}/{picture.file})"
        yield ""
        yield from wrapped(picture.caption)
        yield ""
    yield "```console"
    for command in one.commands:
        yield f"$ {command}"
    yield "```"
    yield ""
    name = one.page.partition("#")[0].rpartition("/")[2]
    yield f"More: [{name}]({one.page})."
    yield ""


def wrapped(text: str) -> Iterator[str]:
    """A paragraph in lines; a word is never broken."""
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line
