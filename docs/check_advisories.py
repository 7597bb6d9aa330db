"""Asks whether a pinned package has a known vulnerability: `python docs/check_advisories.py`.

pip-audit looks every line of constraints.txt up at an advisory service. Exit code 1 where a package has an advisory
that a newer version mends. What could not be looked up is said in a plain line and is not a failure: a machine that
cannot reach a service must be able to check everything else.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("pypi", "osv")
SECONDS = 90
AUDIT = [
    *(sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "constraints.txt"), "--no-deps", "--disable-pip"),
    *("--format", "json", "--progress-spinner", "off", "--timeout", "5"),
]


def main(audit: Sequence[str] = AUDIT) -> int:
    """Ask one service after another until one knows the packages; the exit code."""
    if importlib.util.find_spec("pip_audit") is None:
        print("advisories: not checked, pip-audit is not installed")
        return 0
    for service in SERVICES:
        rows = audited(audit, service)
        if any("vulns" in row for row in rows):
            lines, code = verdict(rows)
            print("\n".join(lines))
            return code
    print("advisories: not checked, no advisory service can be reached from here")
    return 0


def audited(audit: Sequence[str], service: str) -> list[dict[str, Any]]:
    """What the service says of every package, asked by the command `audit`; nothing where it does not answer."""
    try:
        done = subprocess.run(
            [*audit, "--vulnerability-service", service], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        return json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError, KeyError):
        return []


def verdict(rows: Sequence[dict[str, Any]]) -> tuple[list[str], int]:
    """A line for every advisory and one for all; exit code 1 where a newer version mends one.

    pip-audit itself says "no known vulnerabilities" also of packages that it could not look up.
    """
    lines, mended = [], False
    for row in rows:
        for one in row.get("vulns", ()):
            versions = ", ".join(one["fix_versions"])
            mended |= bool(versions)
            advice = f"take {versions}" if versions else "no version mends it yet"
            lines.append(f"advisories: {row['name']} {row['version']}: {one['id']}; {advice}")
    looked_up = sum("vulns" in row for row in rows)
    known = f"{len(lines)} known" if lines else "none known"
    left = f", {len(rows) - looked_up} not looked up" if looked_up < len(rows) else ""
    return [*lines, f"advisories: {known} for {looked_up} pinned packages{left}"], int(mended)


if __name__ == "__main__":
    sys.exit(main())
