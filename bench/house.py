"""The house in numbers and as a picture, from the imports of the code: `python -m bench.house [--plot FILE.svg]`.

Lines of code are those that hold a token: no docstrings, comments or blank lines.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[1] / "src"
SETTINGS = Path(__file__).resolve().parents[1] / "pyproject.toml"
SOLVE = "budgetnet.experiments.solve"
UNTYPED = re.compile(r"(?:Mapping|dict)\[str, Any\]")
LOOK_UP = re.compile(r"""\[["'][a-z_]+["']\]""")


def modules(source: Path = SOURCE) -> dict[str, Path]:
    """Every module by its dotted name, without the package's own."""
    found: dict[str, Path] = {}
    for path in sorted((source / "budgetnet").rglob("*.py")):
        parts = path.relative_to(source / "budgetnet").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def lines_of_code(text: str) -> int:
    """Lines with a token that is neither a comment nor a docstring."""
    strings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    silent = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in silent
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - strings)


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of ours that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "budgetnet":
            base = (node.module or "").partition(".")[2]
            for name in node.names:
                inner = f"{base}.{name.name}".lstrip(".")
                yield inner if inner in known else base


def loaded_with(module: str) -> int:
    """How many of our modules are loaded once this one is imported."""
    program = f"import sys, {module}; print(sum(name.split('.')[0] == 'budgetnet' for name in sys.modules))"
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)


def figures(known: dict[str, Path]) -> dict[str, int]:
    """What is measured of the whole."""
    texts = [path.read_text(encoding="utf-8") for path in known.values()]
    return {
        "lines of code": sum(map(lines_of_code, texts)),
        "modules": len(known),
        f"modules loaded with {SOLVE}": loaded_with(SOLVE),
        "Mapping[str, Any] and dict[str, Any]": sum(len(UNTYPED.findall(text)) for text in texts),
        "look-ups by a string key": sum(len(LOOK_UP.findall(text)) for text in texts),
    }


def contract(name: str) -> dict[str, Any]:
    """An import contract of pyproject.toml."""
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    return next(row for row in settings["tool"]["importlinter"]["contracts"] if row["id"] == name)


def layers() -> list[list[str]]:
    """The folders of each layer that the import contract has, the upper ones first."""
    rows = [[name.strip() for name in row.split(":")] for row in contract("layers")["layers"]]
    there = [[name for name in row if (SOURCE / "budgetnet" / name).is_dir()] for row in rows]
    return [row for row in there if row]


def folder_of(name: str) -> str:
    """The folder of a module; empty for those that stand by themselves."""
    first, inner, _ = name.partition(".")
    return first if inner or (SOURCE / "budgetnet" / first).is_dir() else ""


def picture(known: dict[str, Path]) -> str:
    """Folders as boxes, the upper ones import from the lower ones; a thicker arrow is more imports."""
    sizes = Counter(folder_of(name) for name in known)
    lines = Counter[str]()
    arrows = Counter[tuple[str, str]]()
    for name, path in known.items():
        lines[folder_of(name)] += lines_of_code(path.read_text(encoding="utf-8"))
        arrows.update(
            (folder_of(name), folder_of(other)) for other in imports(path, known) if folder_of(other) != folder_of(name)
        )
    wide, high, gap = 210, 44, 26
    places: dict[str, tuple[int, int]] = {}
    shapes: list[str] = []
    rows = layers()
    for row, layer in enumerate(rows):
        for column, folder in enumerate(layer):
            places[folder] = (300 + column * (wide + 60), 20 + row * (high + gap))
    for (above, below), count in sorted(arrows.items()):
        if above in places and below in places:
            (x, y), (to_x, to_y) = places[above], places[below]
            left, depth = x, to_y - y
            bend = left - 20 - depth // 4 if to_x == x else left + wide // 2
            start, end = (
                (x, y + high // 2),
                (to_x if to_x == x else to_x + wide // 2, to_y + (high // 2 if to_x == x else 0)),
            )
            path = f"M {start[0]} {start[1]} C {bend} {start[1]}, {bend} {end[1]}, {end[0]} {end[1]}"
            shapes.append(
                f'<path d="{path}" fill="none" stroke="#0067b3" stroke-opacity="0.35" '
                f'stroke-width="{min(8.0, 0.6 + count / 12):.1f}"><title>{above} to {below}: {count}</title></path>'
            )
    without_torch = {name.removeprefix("budgetnet.") for name in contract("torch-line")["source_modules"]}
    line_y = max(y for folder, (_, y) in places.items() if folder not in without_torch) + high + gap // 2
    shapes.append(f'<path d="M 40 {line_y} H 830" stroke="#b34700" stroke-dasharray="6 5"/>')
    shapes.append(
        f'<text x="830" y="{line_y - 6}" text-anchor="end" fill="#b34700">torch is imported above this</text>'
    )
    for folder, (x, y) in places.items():
        shapes.append(f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="6" fill="#eef5fb" stroke="#0067b3"/>')
        shapes.append(f'<text x="{x + 12}" y="{y + 19}" font-weight="bold">{folder}/</text>')
        note = f"{sizes[folder]} files, {lines[folder]:,} lines of code"
        shapes.append(f'<text x="{x + 12}" y="{y + 36}" font-size="11" fill="#5a6470">{note}</text>')
    height = 20 + len(rows) * (high + gap)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" font-family="sans-serif" font-size="14">'
        f'<rect width="860" height="{height}" fill="white"/>{"".join(shapes)}</svg>\n'
    )


def main(words: Sequence[str] | None = None) -> int:
    """Print the figures; write the picture where one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.house", description=__doc__)
    parser.add_argument("--plot", type=Path, help="an SVG file for the picture")
    asked = parser.parse_args(words)
    known = modules()
    for name, value in figures(known).items():
        print(f"{name:<40} {value:>8,}")
    if asked.plot:
        asked.plot.write_text(picture(known), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
