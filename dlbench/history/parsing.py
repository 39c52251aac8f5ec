"""JSON of anyone's, in bytes: exactly, or fast."""

from __future__ import annotations

import json

import orjson


def loads_exact(text: bytes) -> object:
    """Return what JSON in UTF-8 says.

    Raises:
        ValueError: it is no JSON, or no Unicode.
        RecursionError: it is nested too deeply.
    """
    value: object = json.loads(text.decode())
    return value


def loads_fast(text: bytes) -> object:
    """Return what JSON says, four times as fast: for whoever reads thousands of files.

    An integer that 64 bits cannot hold may come as a float. A thousand levels may pass, which Python
    itself cannot print.

    Raises:
        ValueError: it is no JSON, or no Unicode.
        RecursionError: it is nested too deeply.
    """
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:  # json takes more: NaN, half a surrogate pair, 1e400
        value = loads_exact(text)
    return value
