"""A search's study: Optuna's trials in a database, SQLite in the run's folder or PostgreSQL for clusters.

One process writes it, the one that searches: workers never see it, so that a killed worker leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

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
    kind, _, rest = storage.partition("://")
    base = kind.partition("+")[0]
    if base not in DRIVERS or _parsed(storage) is None:
        raise ValueError(f"storage is {shown_url(storage)!r}; give postgresql://user:password@host/database")
    return f"{kind if '+' in kind else DRIVERS[base]}://{rest}"


def shown_url(storage: str) -> str:
    """The URL without its password, for files and messages."""
    url = _parsed(storage)
    return storage.rpartition("@")[2] if url is None else url.render_as_string(hide_password=True)


def _parsed(storage: str) -> URL | None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage)
    except (ArgumentError, ValueError):  # a ValueError is of its port
        return None


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
        reason = lines[0][:TOO_LONG]
        if "psycopg" in reason and isinstance(error.__cause__ or error, ImportError):
            reason = "its driver is not installed: pip install 'budgetnet[cluster]'"
        raise ValueError(f"cannot use the study {shown_url(storage)}: {reason}") from error


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
