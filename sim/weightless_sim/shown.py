"""How data are shown: names of tensors, which may hold anything, and results as JSON."""

import json
import math
import re
from typing import Any

# What would move a terminal's cursor, turn the writing direction, or is no character.
UNSHOWN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MARKUP = re.compile(r"([\\`*_\[\]<>|#~$])")
LABEL = 48  # characters of a name in a picture


def shown(text: str) -> str:
    """``text`` with what a terminal would obey, and not show, escaped."""
    return UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def in_markdown(text: str) -> str:
    """``text`` so that Markdown shows it as it is, in a table, too."""
    return MARKUP.sub(r"\\\1", shown(text)).replace("\n", "\\n")


def in_picture(text: str) -> str:
    """``text`` on one line, its middle left out where it is long."""
    line = shown(text).replace("\n", "\\n")
    half = LABEL // 2 - 1
    return line if len(line) <= LABEL else f"{line[:half]}…{line[-half:]}"


def to_json(result: Any) -> str:
    """Strict JSON: what is not finite becomes null."""
    return json.dumps(_finite(result), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
