"""The committed schema is that of the classes; what it finds in a report is tested with the study."""

import json
from pathlib import Path

import jsonschema
import pytest

from weightless_sim.report.schema import schema

COMMITTED = Path(__file__).parent.parent.parent.parent / "docs" / "report.schema.json"


def test_the_committed_schema_is_what_is_made():
    assert json.loads(COMMITTED.read_text()) == schema(), "run: make tables"


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


def test_figures_that_follow_are_described_and_nothing_else_may_stand_there():
    parts = schema()["$defs"]
    layer = parts["LayerCycles"]
    assert layer["properties"]["decode_cycles"] == {"type": "integer"}
    assert set(layer["required"]) == set(layer["properties"])
    row = dict.fromkeys(layer["properties"], 1)
    validator = jsonschema.Draft202012Validator(schema() | {"$ref": "#/$defs/LayerCycles"})
    validator.validate(row)
    with pytest.raises(jsonschema.ValidationError, match="'bogus' was unexpected"):
        validator.validate(row | {"bogus": 1})
    with pytest.raises(jsonschema.ValidationError, match="'decode_cycles' is a required property"):
        validator.validate({name: n for name, n in row.items() if name != "decode_cycles"})


def test_fields_of_a_layout_stand_beside_those_of_all():
    encoding = schema()["$defs"]["EncodeReport"]
    assert "own" not in encoding["properties"]
    assert encoding["additionalProperties"] == {"type": "integer"}
