"""Every benchmark in turn; exit code 1 if a promised limit is broken."""

from __future__ import annotations

import sys

from bench import pricing, startup
from bench.table import Measurement, print_table


def main() -> int:
    """Measure, print, judge."""
    rows: list[Measurement] = [*startup.measure(), *pricing.measure()]
    print_table(rows)
    return int(any(row.broken for row in rows))


if __name__ == "__main__":
    sys.exit(main())
