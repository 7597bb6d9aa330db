"""The address of a database holds a user and a password: neither is in a message, a file, a name or a page."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from budgetnet import Budget, search_baseline, search_family
from budgetnet.cli import main
from budgetnet.experiments.baseline.study import check_storage, forget_study, open_study, shown_url, url_of

SECRET = "hush"
PORT = "127.0.0.1:1"  # nobody listens there
REACHED_FOR = [
    f"postgresql://anna:{SECRET}@{PORT}/studies",
    f"postgresql://anna:hu%40sh{SECRET}@{PORT}/studies",
    f"postgresql://anna%3A{SECRET}@{PORT}/studies",
    f"postgresql://{PORT}/studies?user=anna&password={SECRET}",
    f"postgresql:///studies?host=127.0.0.1&port=1&user=anna&password={SECRET}",
    f"postgresql://anna:{SECRET}@{PORT}/studies?sslmode={SECRET}",
    f"postgresql://anna:{SECRET}@{PORT}/studies?sslpassword={SECRET}&passfile={SECRET}",
    f"postgresql://anna:{SECRET}@{PORT}/studies;password={SECRET}",
    f"postgresql://anna:{SECRET}@[::1]:1/studies",
    f"postgres://anna:{SECRET}@{PORT}/studies",
    f"PostgreSQL+psycopg://anna:{SECRET}@{PORT}/studies",
]
NOT_READ = [
    f"postgresql://anna:p@{SECRET}@{PORT}/studies",
    f"postgresql://an/na:{SECRET}@{PORT}/studies",
    f"postgresql://127.0.0.1:{SECRET}/studies",
    f"postgresql:anna:{SECRET}@{PORT}/studies",
    f"anna:{SECRET}@{PORT}",
    f"host=127.0.0.1 user=anna password={SECRET}",
    f"mysql://anna:{SECRET}@{PORT}/studies",
    f"sqlite+pysqlcipher-{SECRET}",
    f"//{SECRET}",
]


def silent(said: str) -> bool:
    return SECRET not in said and "anna" not in said and "\n" not in said.strip()


@pytest.mark.parametrize("storage", [*REACHED_FOR, *NOT_READ])
def test_no_message_has_user_or_password(storage: str) -> None:
    pytest.importorskip("psycopg")
    for act in (check_storage, lambda one: open_study(one, "a", "b"), lambda one: forget_study(one, "a")):
        with pytest.raises(ValueError) as caught:
            act(storage)
        assert silent(str(caught.value)), str(caught.value)
        assert SECRET not in "".join(traceback.format_exception(caught.value)).replace(storage, "")
    assert silent(shown_url(storage))


@pytest.mark.parametrize("storage", REACHED_FOR)
def test_host_and_name_are_shown(storage: str) -> None:
    assert shown_url(storage).startswith("postgres") and (
        "127.0.0.1" in shown_url(storage) or "::1" in shown_url(storage)
    )
    assert "studies" in shown_url(storage) or ";" in storage
    assert url_of(storage).startswith("postgresql+psycopg://"), "what opens it has all of it"


def test_what_opens_the_database_keeps_every_part() -> None:
    from sqlalchemy.engine import make_url

    for storage in REACHED_FOR:
        given, used = make_url(storage), make_url(url_of(storage))
        assert given.set(drivername="x") == used.set(drivername="x")


@pytest.mark.parametrize("storage", [REACHED_FOR[0], NOT_READ[0]])
def test_searches_leave_no_secret(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.chdir(tmp_path)
    for command in ("baseline", "all"):
        line = ["search", command, "digits", "--macs", "1M", "--time", "100m", "--storage", storage]
        assert main(line) == 2
        out, said = capfd.readouterr()
        assert out == "" and len(said.splitlines()) == 1 and silent(said)
    for search in (search_baseline, search_family):
        with pytest.raises(ValueError) as caught:
            search("digits", Budget(macs=1_000_000), storage=storage)
        assert silent(str(caught.value))
    assert list(tmp_path.iterdir()) == [], "no folder, so nothing in one"


def test_the_name_of_a_run_says_nothing_of_user_or_password() -> None:
    """It is a hash of what plan.json shows: with the password in it, a short one could be guessed from the name."""
    one, other = (f"postgresql://{user}@host/studies" for user in ("anna:hush", "ben:word"))
    assert json.dumps(shown_url(one)) == json.dumps(shown_url(other)) == '"postgresql://host/studies"'
