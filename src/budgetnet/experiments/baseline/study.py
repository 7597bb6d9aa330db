"""A search's study: Optuna's trials in a database, SQLite in the run's folder or PostgreSQL for clusters.

One process writes it, the one that searches: workers never see it, so that a killed worker leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import Trial
    from sqlalchemy.engine import URL

HEARTBEAT_SECONDS = 10
STUDY = "baseline"
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}
"""The databases that a study may lie in, and what opens them; SQLAlchemy's own choice for PostgreSQL is older."""
TOO_LONG = 160
"""Of a database's words: the line ends there."""


def url_of(storage: str) -> str:
    """The URL that opens a database named as people name it. Raises a one-line `ValueError` for another kind."""
    url = _parsed(storage)
    if url is None:
        raise ValueError(
            "storage is no address of a database for studies; give postgresql://user:password@host/database, "
            "with @ : / ? in user and password written as %40 %3A %2F %3F"
        )
    kind = url.drivername.lower()
    return url.set(drivername=DRIVERS.get(kind, kind)).render_as_string(hide_password=False)


def shown_url(storage: str) -> str:
    """The database's kind, host and name, for files and messages: no user, no password, no query.

    What cannot be parsed, or may hold a secret in a wrong place, is not shown.
    """
    url = _parsed(storage)
    if url is None:
        return "of an address that cannot be read"
    kind = url.drivername.lower().partition("+")[0]
    if kind == "sqlite":
        return f"sqlite:///{url.database or ''}"
    host = url.host or url.query.get("host", "")
    host = f"[{host}]" if isinstance(host, str) and ":" in host else host
    port = f":{url.port}" if url.port else ""
    return f"{kind}://{_plain(host)}{port}/{_plain(url.database or '')}"


def _plain(name: object) -> str:
    """A host or a database's name; dots where it has signs that neither usually has."""
    return name if isinstance(name, str) and re.fullmatch(r"[\w.\-\[\]:]*", name) else "..."


def _parsed(storage: str) -> URL | None:
    """The parts of a database's URL; None for what is none, of another kind, or with an @ too many."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(storage)
    except (ArgumentError, ValueError):  # a ValueError is of its port
        return None
    known = url.drivername.lower().partition("+")[0] in DRIVERS
    return url if known and not any("@" in part for part in (url.host or "", url.database or "")) else None


def _without_secrets(words: str, storage: str) -> str:
    """A database's words without user, password and values of the query, as they were written or are meant."""
    url = _parsed(storage)
    if url is None:
        return words
    values = [url.username, url.password]
    for value in url.query.values():
        values += [value] if isinstance(value, str) else value
    kept = {url.host, *(url.query.get(name) for name in ("host", "port", "dbname"))}
    secrets = {value for value in values if value and value not in kept}
    secrets |= {quote(value, safe="") for value in secrets} | {quote_plus(value) for value in secrets}
    for secret in sorted(secrets, key=len, reverse=True):
        words = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", words)
    return words


def check_storage(storage: str) -> None:
    """Raise a one-line `ValueError` for a database that cannot be reached, before anything is trained for it."""
    with _usable(storage):
        from sqlalchemy import create_engine

        engine = create_engine(url_of(storage))
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def open_study(storage: str, name: str, identity: str) -> Study:
    """The study of that name in a database, made where there is none.

    Raises a one-line `ValueError` for a database that cannot be used and for the study of another search, by its
    `identity`.
    """
    import optuna

    with _usable(storage):
        kept = _storage(storage)
        study = optuna.create_study(storage=kept, study_name=name, direction="maximize", load_if_exists=True)
    begun = study.user_attrs.get("search")
    if begun is None:
        study.set_user_attr("search", identity)
    elif begun != identity:
        where = shown_url(storage)
        raise ValueError(
            f"the study {where} was begun on another space, budget or data; give another --out, or --fresh"
        )
    return study


def forget_study(storage: str, name: str) -> None:
    """Remove a study and its trials, where there is one: the run is to be made anew."""
    import optuna

    with _usable(storage), contextlib.suppress(KeyError):
        optuna.delete_study(study_name=name, storage=_storage(storage))


def _storage(storage: str) -> RDBStorage:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are experimental in Optuna's words
        return optuna.storages.RDBStorage(
            url_of(storage),
            heartbeat_interval=HEARTBEAT_SECONDS,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )


@contextlib.contextmanager
def _usable(storage: str) -> Iterator[None]:
    """What a database says that cannot be used, as a one-line `ValueError` without its password."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    refusals = (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError, ImportError)
    try:
        yield
    except refusals as error:
        lines = str(error.__cause__ or error).splitlines() or [type(error).__name__]
        reason = _without_secrets(lines[0], storage)[:TOO_LONG]
        if "psycopg" in reason and isinstance(error.__cause__ or error, ImportError):
            reason = "its driver is not installed: pip install 'budgetnet[cluster]'"
        # Not from the error: it may show the whole address.
        raise ValueError(f"cannot use the study {shown_url(storage)}: {reason}") from None


def retry_lost(study: Study) -> None:
    """Trials that ran when their process died, to be run again: at once, for no other process is at work here."""
    import optuna

    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if "architecture" in trial.user_attrs:  # else it was not proposed yet
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                optuna.storages.RetryHeartbeatStaleTrialCallback()(study, trial)


@contextlib.contextmanager
def beating(study: Study, trials: Sequence[Trial]) -> Iterator[None]:
    """Say that the trials are alive while they are scored, to other processes on the same study."""
    from optuna.storages._heartbeat import get_heartbeat_thread

    beats = [get_heartbeat_thread(trial._trial_id, study._storage) for trial in trials]
    for beat in beats:
        beat.start()
    try:
        yield
    finally:
        for beat in beats:
            beat.join()
