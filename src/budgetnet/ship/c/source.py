"""Values as C++ writes them, and back."""

from __future__ import annotations

ARRAY_ROW = 16
"""An array has so many numbers in a line."""
BYTES = {f"0x{value:02x}": value for value in range(256)}
"""The bytes as an array has them."""


def string_literal(text: str) -> str:
    """A text as a C string of UTF-8, in plain ASCII.

    Octal escapes have three digits at most, so that no digit behind one is taken into it; a question mark could begin a
    trigraph.
    """
    return '"' + "".join(_character(byte) for byte in text.encode("utf-8", "surrogatepass")) + '"'


def _character(byte: int) -> str:
    sign = chr(byte)
    if sign in '"\\?':
        return f"\\{sign}"
    return sign if " " <= sign <= "~" else f"\\{byte:03o}"


def array_bytes(where: str, text: str, name: str) -> bytes:
    """The bytes of the array `name` in a source. Raises a one-line `ValueError` where there is none of bytes."""
    _, found, rest = text.partition(f"{name}[] = {{")
    body, closed, _ = rest.partition("}")
    if not found or not closed:
        raise ValueError(f"{where} has no array {name}")
    numbers = body.lower().replace(",", " ").split()
    try:
        return bytes([BYTES[number] for number in numbers])
    except KeyError as error:
        raise ValueError(f"{where} has {error.args[0]!r:.40} in the array {name}; its bytes are 0x00 to 0xff") from None
