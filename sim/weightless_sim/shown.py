"""How data are shown: names of tensors, which may hold anything, and results as JSON."""

import json
import math
import re
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

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
    """Strict JSON of :func:`plain`."""
    return json.dumps(plain(result), indent=1, allow_nan=False)


def plain(value: Any) -> Any:
    """``value`` as JSON has it: dataclasses with their fields and what follows from them, null for what is not finite.

    A class with ``as_dict`` has a form of its own.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "as_dict"):
        return plain(value.as_dict())
    if is_dataclass(value):
        names = [*(field.name for field in fields(value)), *derived(type(value))]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def derived(kind: type) -> dict[str, Any]:
    """The public properties of a dataclass, name -> type: figures that follow from its fields."""
    return {
        name: get_type_hints(one.fget)["return"]
        for name, one in vars(kind).items()
        if isinstance(one, property) and not name.startswith("_")
    }
