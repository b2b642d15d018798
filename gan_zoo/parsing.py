"""Text that others wrote, read strictly."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for anything else, what is nested too deep to be read included."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
