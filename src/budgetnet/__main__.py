"""`python -m budgetnet` is the command `budgetnet`."""

from __future__ import annotations

import sys

from budgetnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
