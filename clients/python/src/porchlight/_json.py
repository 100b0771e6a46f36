"""JSON as the service sends and accepts it."""

from __future__ import annotations

import json
from typing import Any

MAX_DIGITS = 4300
"""Python does not parse integers of more digits."""


def parse(text: str | bytes) -> Any:
    """Parses JSON. Integers of too many digits stay texts."""
    return json.loads(text, parse_int=_integer)


def write(value: Any) -> bytes:
    """JSON in ASCII. Numbers that JSON does not have, such as NaN, are a ValueError."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < MAX_DIGITS else digits
