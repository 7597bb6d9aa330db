"""A study in PostgreSQL is that of SQLite: it goes on, it is refused to strangers, and no password is ever shown."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_run_search import Judge, search, url

from budgetnet.experiments.baseline.search import run_search
from budgetnet.experiments.baseline.study import check_storage, forget_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PASSWORD = "hidden-word"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that this test starts; skips, with the reason, where there is none to start."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'budgetnet[cluster]'")
    found = [shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    tools = [Path(one).parent for one in found if one]
    if not tools:
        pytest.skip("PostgreSQL's server is not installed")
    # The server refuses to be root.
    prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder = tmp_path_factory.mktemp("postgres")
    word = folder / "word"
    word.write_text(PASSWORD)
    ours = itertools.takewhile(lambda path: path.name.startswith(("pytest", "popen")), folder.parents)
    for path in (folder, *ours):
        path.chmod(0o755)
    if prefix:
        shutil.chown(folder, "postgres")
    port = 54_000 + os.getpid() % 1000

    def call(tool: str, *arguments: str) -> None:
        command = [*prefix, str(tools[-1] / tool), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    call("initdb", "-U", "searcher", "-A", "scram-sha-256", "--pwfile", str(word))
    call("pg_ctl", "-w", "-o", f"-p {port} -h 127.0.0.1 -k {folder}", "start")
    try:
        yield f"postgresql://searcher:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")


def test_a_study_goes_on_there_and_is_that_of_a_file(database: str, tmp_path: Path) -> None:
    expected = run_search(search(24), Judge(), url(tmp_path))
    asked = search(24, study="photos-1a2b3c4d")
    first, second = Judge(dies_after=21), Judge()
    with pytest.raises(KeyboardInterrupt):
        run_search(asked, first, database)
    assert run_search(asked, second, database) == expected
    assert len(first.asked) == 21 and len(second.asked) == 3, "no finished trial is repeated"
    assert run_search(search(2, study="another", seed=1), Judge(), database), "a database holds several"
    with pytest.raises(ValueError, match="was begun on another space, budget or data") as error:
        run_search(search(24, study="photos-1a2b3c4d", identity="other images"), Judge(), database)
    assert PASSWORD not in str(error.value)
    forget_study(database, "photos-1a2b3c4d")
    third = Judge()
    run_search(search(2, study="photos-1a2b3c4d"), third, database)
    assert len(third.asked) == 2


def test_what_is_refused_is_one_line(database: str) -> None:
    check_storage(database)
    for wrong in (database.replace(PASSWORD, "guessed-word"), database.removesuffix("postgres") + "absent"):
        with pytest.raises(ValueError, match="cannot use the study") as error:
            check_storage(wrong)
        assert "\n" not in str(error.value) and "-word" not in str(error.value)
