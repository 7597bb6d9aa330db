"""What a network is, in words: how it was scaled, what its blocks are. Read from its rows, never from its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from budgetnet.draw.wording import listed
from budgetnet.networks import KINDS, Activation, Block, BlockKind, Network, Rounding, zoo
from budgetnet.networks.scaling import FitStrategy

STRATEGIES = {
    "compound": "compound: depth, width and resolution together",
    "depth": "depth alone",
    "width": "width alone",
    "resolution": "resolution alone",
    "dWr": "mostly width, with some depth and resolution",
    "tiny": "resolution and depth before width",
    "joint": "depth, width, resolution and head each by itself",
    "staged": "each stage by itself",
}
ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "swish": "Swish",
    "hard_swish": "hard Swish",
    "gelu": "GELU",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "hard_sigmoid": "hard sigmoid",
    "identity": "none",
}


def origin(base: str, source: str) -> str:
    """How the base was designed, by hand or by search: of the zoo's as published, else the network's own `source`."""
    if base in zoo.names():
        return zoo.origin(base)
    return source or "a file that names no source"


def design(strategy: FitStrategy, rounding: Rounding) -> str:
    """How the base was scaled, and what its family keeps as it is."""
    kept = [name for name in ("stem", "head") if getattr(rounding, name) == "kept"]
    kept += ["the repeats of the first and last stage"] if rounding.keeps_end_repeats else []
    grown = [name for name in ("stem", "head") if getattr(rounding, name) == "grows"]
    parts = [STRATEGIES[strategy]]
    parts += [f"{listed(kept)} kept"] if kept else []
    parts += [f"{listed(grown)} never narrower than the base's"] if grown else []
    return "; ".join(parts)


def blocks(network: Network) -> str:
    """The blocks of a network: kinds, kernels, expansion, squeeze-and-excitation, activations, skips."""
    placed = [block for stage in network.stage_blocks() for block in stage]
    parts = [listed([f"{len(of)} {KINDS[kind].words}" for kind, of in _grouped(placed)])]
    parts.append(f"kernels {listed(_kernels(placed))}")
    parts += [f"expansion {_range(placed)}"] if any(block.expansion != 1.0 for block in placed) else []
    parts.append(_squeeze(placed))
    parts.append(listed(list(_activations(placed))))
    skips = sum(block.adds for block in placed)
    parts.append(f"skips in {skips}" if skips else "no skips")
    return ", ".join(parts)


def _grouped(placed: Sequence[Block]) -> Iterator[tuple[BlockKind, list[Block]]]:
    for kind in KINDS:
        if of := [block for block in placed if block.kind == kind]:
            yield kind, of


def _kernels(placed: Iterable[Block]) -> list[str]:
    sides = {side for block in placed for side in (block.kernel, block.start_kernel) if side}
    return [f"{side}x{side}" for side in sorted(sides)]


def _range(placed: Sequence[Block]) -> str:
    values = sorted({round(block.expansion, 1) for block in placed})
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def _squeeze(placed: Sequence[Block]) -> str:
    rows = [block.squeeze for block in placed if block.squeeze is not None]
    if not rows:
        return "no squeeze-and-excitation"
    where = "all" if len(rows) == len(placed) else f"{len(rows)} of {len(placed)}"
    forms = sorted({f"{row.ratio:.2g} of the {_channels(row.source)}, {_name(row.inner)} inside" for row in rows})
    return f"squeeze-and-excitation in {where} ({' or '.join(forms)})"


def _channels(source: str) -> str:
    return "block's input" if source == "input" else "expanded channels"


def _activations(placed: Iterable[Block]) -> Iterator[str]:
    """Each activation once, in the order of the blocks."""
    seen: list[Activation] = []
    for block in placed:
        if block.activation not in seen:
            seen.append(block.activation)
            yield _name(block.activation)


def _name(row: Activation) -> str:
    tail = " with a trained beta" if row.trainable else f" with beta {row.beta:g}" if row.beta != 1.0 else ""
    return ACTIVATIONS[row.kind] + tail
