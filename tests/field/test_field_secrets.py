"""The address of a database holds a user and a password: --storage refuses it, and shows nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from budgetnet.cli import main

SECRET = "hush"
ADDRESSES = [
    f"postgresql://anna:{SECRET}@127.0.0.1:1/studies",
    f"postgresql:///studies?host=127.0.0.1&user=anna&password={SECRET}",
    f"postgres://anna:{SECRET}@127.0.0.1:1/studies",
    f" PostgreSQL+psycopg://anna:{SECRET}@127.0.0.1:1/studies",
    f"postgresql:anna:{SECRET}@127.0.0.1:1/studies",
    f"mysql://anna:{SECRET}@127.0.0.1:1/studies",
    f"sqlite:////home/anna/{SECRET}.db",
    f"sqlite+pysqlcipher://:{SECRET}@/studies.db",
]


@pytest.mark.parametrize("command", ["baseline", "family"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_the_address_of_a_database_is_refused_in_one_line_without_it(
    command: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["search", command, "digits", "--macs", "1M", "--time", "100m", "--storage", address]) == 2
    out, line = capfd.readouterr()
    assert out == "" and len(line.splitlines()) == 1
    assert "storage is the address of a database; it is a folder that every node sees" in line
    assert SECRET not in line and "anna" not in line
    assert list(tmp_path.iterdir()) == [], "no folder, so nothing in one"
