"""The JSON schema of ``report.json``, made of the result's classes; ``make tables`` writes it to the docs."""

from dataclasses import is_dataclass
from inspect import getdoc
from typing import Any, get_args, get_type_hints

import msgspec

from weightless_sim.shown import derived
from weightless_sim.study.result import SCHEMA, Report
from weightless_sw.codec import EncodeReport

REF = "#/$defs/{name}"


def schema() -> dict[str, Any]:
    """As JSON has it; nothing but what is named may stand in an object."""
    (report,), parts = msgspec.json.schema_components([Report], ref_template=REF)
    for kind in _dataclasses(Report):
        # Python 3.13 takes a docstring's indent away, which is older Pythons' in msgspec's words.
        part = parts[kind.__name__] | {"description": getdoc(kind), "additionalProperties": False}
        for name, hint in derived(kind).items():
            (part["properties"][name],), _ = msgspec.json.schema_components([hint], ref_template=REF)
        part["required"] = list(part["properties"])  # defaults are written, too
        parts[kind.__name__] = part
    encoding = parts[EncodeReport.__name__]  # a layout's own fields stand beside the others
    encoding["required"].remove("own")
    encoding["additionalProperties"] = encoding["properties"].pop("own")["additionalProperties"]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA}
    return head | report | {"$defs": parts}


def _dataclasses(hint: Any, found: tuple[type, ...] = ()) -> tuple[type, ...]:
    """The dataclasses that a type is made of, each once."""
    inside = list(get_args(hint))
    if is_dataclass(hint) and isinstance(hint, type) and hint not in found:
        found = (*found, hint)
        inside += [*get_type_hints(hint).values(), *derived(hint).values()]
    for one in inside:
        found = _dataclasses(one, found)
    return found
