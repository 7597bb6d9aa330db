"""Who may ask: whoever is on this machine, or who has the token."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

from budgetnet.reading import file_content

VARIABLE = "BUDGETNET_TOKEN"
"""The environment may have the token in this variable."""
LEAST_TOKEN = 16
"""A token has at least this many characters; `openssl rand -hex 32` makes one of 64."""
MOST_TOKEN_BYTES = 4096
BEARER = "bearer "


def read_token(file: str | Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token in a file, else in the environment; None where neither has one.

    Raises a one-line `ValueError` for one that is short, or no single word of printable ASCII.
    """
    if file is not None:
        where, token = str(file), file_content(Path(file), MOST_TOKEN_BYTES).decode("utf-8", "replace").strip()
    elif VARIABLE in environment:
        where, token = VARIABLE, environment[VARIABLE].strip()
    else:
        return None
    if len(token) < LEAST_TOKEN or not all("!" <= one <= "~" for one in token):
        raise ValueError(
            f"{where} must hold one word of {LEAST_TOKEN} printable ASCII signs or more: `openssl rand -hex 32`"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether an address leads to this machine alone.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_open(host: str, token: str | None, to_anyone: bool) -> None:
    """Raise a one-line `ValueError` where others than this machine could ask without a token, unless that is meant."""
    if token is None and not to_anyone and not is_loopback(host):
        raise ValueError(
            f"at {host} whoever reaches this machine could ask; give --token-file FILE or {VARIABLE}, or "
            "--to-anyone if that is meant"
        )


def is_allowed(token: str | None, authorization: str | None) -> bool:
    """Whether a request with this header may be answered.

    >>> [is_allowed("0123456789abcdef", given) for given in (None, "Bearer 0123456789abcdef", "Bearer x")]
    [False, True, False]
    """
    if token is None:
        return True
    given = authorization or ""
    if given[: len(BEARER)].lower() != BEARER:
        return False
    return hmac.compare_digest(given[len(BEARER) :].strip().encode(), token.encode())
