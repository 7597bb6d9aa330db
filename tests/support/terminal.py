"""What a terminal may be given."""

from __future__ import annotations

import unicodedata


def is_shown(text: str) -> bool:
    """Whether every sign of a text is one that people see: none that moves the cursor or turns the text."""
    turning = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return not any(
        sign in turning or (sign != "\n" and unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")) for sign in text
    )
