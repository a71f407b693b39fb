import gzip
import itertools
import re

import numpy as np
import pytest

from weightless_sim.gates import liberty
from weightless_sim.gates.liberty import LibertyError, truth_table

LIBRARY = """
library (tiny) {
  voltage_unit : "1V"; leakage_power_unit : "1uW"; capacitive_load_unit (1, pf);
  nom_voltage : 2.0; nom_temperature : 25.0; default_operating_conditions : "slow";
  power_lut_template (p) { variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("0.1, 0.2, 0.3"); index_2 ("0.01, 0.03"); }
  power_lut_template (q) { variable_1 : input_transition_time; index_1 ("0.1, 0.2"); }
  cell (NOT) { area : 2.5; cell_leakage_power : 3.0;
    pin (A) { direction : input; capacitance : 0.002; }
    pin (Y) { direction : output; function : "(!A)";
      internal_power () { related_pin : "A";
        rise_power (p) { values ("0.1, 0.1", "0.2, 0.2", "0.010, 0.030"); }
        fall_power (p) { values ("0.1, 0.1", "0.2, 0.2", "0.030, 0.050"); } } } }
  cell (FF) { area : 9.0; ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }
    pin (D) { direction : input; capacitance : 0.001; }
    pin (CK) { direction : input; clock : true; capacitance : 0.004;
      internal_power () { rise_power (q) { values ("0.001, 0.005"); } fall_power (q) { values ("0.001, 0.007"); } } }
    pin (Q) { direction : output; function : "IQ"; } }
  cell (FFN) { ff (IQ, IQN) { next_state : "D"; clocked_on : "(!CK)"; }
    pin (D) { direction : input; } pin (CK) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }
  cell (GATE) { clock_gating_integrated_cell : "latch_posedge";
    pin (C) { direction : input; clock_gate_clock_pin : true; }
    pin (E) { direction : input; clock_gate_enable_pin : true; }
    pin (G) { direction : output; clock_gate_out_pin : true; } }
}
"""


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.lib").write_text(LIBRARY)
    return liberty.read([tmp_path / "tiny.lib"])


def test_units_corner_and_cells(tiny):
    assert (tiny.name, tiny.voltage, tiny.corner) == ("tiny", 2.0, "slow, 25.0 C")
    cell = tiny.cells["NOT"]
    assert (cell.area, cell.leakage) == (2.5, 3000.0)
    assert cell.pins["A"].capacitance == pytest.approx(2.0)
    assert cell.pins["Y"].function == "(!A)"
    assert tiny.clock_gates == ["GATE"]
    assert tiny.cells["GATE"].gate == {"clock": "C", "enable": "E", "out": "G"}


NOMINAL = "nom_voltage : 2.0; nom_temperature : 25.0;"
ELSEWHERE = {
    "conditions": """operating_conditions (fast) { voltage : "9"; temperature : "0"; }
        operating_conditions ("slow") { voltage : "2.0"; temperature : "25.0"; }""",
    "supplies": """voltage_map ("VSS", "0.0"); voltage_map ("VDD", 2.0); nom_temperature : "25.0";""",
}


@pytest.mark.parametrize("voltage", ELSEWHERE.values(), ids=ELSEWHERE)
def test_numbers_in_quotes_and_a_voltage_that_stands_elsewhere(tmp_path, tiny, voltage):
    """As real libraries have them."""
    text = LIBRARY.replace(NOMINAL, voltage).replace("(1, pf)", '("1","pf")')
    text = re.sub(r"(area|capacitance|leakage_power) : ([\d.]+);", r'\1 : "\2";', text)
    assert text.count('"2.5"') == text.count('"0.002"') == text.count('"3.0"') == 1
    path = tmp_path / "quoted.lib"
    path.write_text(text)
    assert repr(liberty.read([path])) == repr(tiny)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            NOMINAL,
            "",
            "the library says no voltage: no nom_voltage, no voltage in operating_conditions, no voltage_map",
        ),
        ("area : 2.5", 'area : "large"', "'large' is no number"),
        ("(1, pf)", '("1","furlong")', "capacitive_load_unit in 'furlong'"),
    ],
)
def test_what_a_library_does_not_say_is_an_error_with_its_name(tmp_path, old, new, message):
    path = tmp_path / "x.lib"
    path.write_text(LIBRARY.replace(old, new))
    with pytest.raises(LibertyError, match=rf"x\.lib: {message}"):
        liberty.read([path])


def test_energy_is_interpolated_over_the_load(tiny):
    """pF V^2 is pJ; the third slew; the mean of both edges."""
    pin = tiny.cells["NOT"].pins["Y"]
    assert pin.toggle_energy(10) == pytest.approx(20.0)
    assert pin.toggle_energy(20) == pytest.approx(30.0)
    assert pin.toggle_energy(1e6) == pytest.approx(40.0)
    assert tiny.cells["NOT"].pins["A"].toggle_energy(5) == 0


def test_flip_flops_are_those_of_the_rising_edge(tiny):
    cell = tiny.cells["FF"]
    assert (cell.state, cell.next_state, cell.clock) == (("IQ", "IQN"), "D", "CK")
    assert cell.pin_of("IQ") == ["Q"]
    assert cell.pin_of("IQN") == []
    assert cell.pins["CK"].cycle_energy == pytest.approx(12.0)
    assert tiny.cells["FFN"].state is None


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("A", lambda a, b, c: a),
        ("!A", lambda a, b, c: not a),
        ("A'", lambda a, b, c: not a),
        ("(A B)' + C", lambda a, b, c: not (a and b) or c),
        ("A*B+!C", lambda a, b, c: (a and b) or not c),
        ("A & (B | C)", lambda a, b, c: a and (b or c)),
        ("A ^ B ^ C", lambda a, b, c: a ^ b ^ c),
        ("A ^ B C", lambda a, b, c: a ^ (b and c)),
        ("!(A !B)", lambda a, b, c: not (a and not b)),
        ("1", lambda a, b, c: True),
        ("A 0", lambda a, b, c: False),
    ],
)
def test_functions(function, expected):
    table = truth_table(function, ["A", "B", "C"])
    for row, (c, b, a) in enumerate(itertools.product((False, True), repeat=3)):
        assert table >> row & 1 == bool(expected(a, b, c)), (a, b, c)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("A+", "unexpected ''"),
        ("(A", "not closed"),
        ("X", "unexpected 'X'"),
        ("A)", "unexpected"),
        ("", "unexpected"),
    ],
)
def test_bad_functions_are_refused(function, message):
    with pytest.raises(LibertyError, match=message):
        truth_table(function, ["A"])


def test_too_many_inputs_are_refused():
    with pytest.raises(LibertyError, match="more than 6 inputs"):
        truth_table("A", list("ABCDEFG"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no library at all {", "not a Liberty file"),
        ("cell (x) { }", "holds no library"),
        ("library (x) { nom_voltage : 1.0; cell (y) { area : 1; } }", "the library has no flip-flop"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, message):
    path = tmp_path / "x.lib"
    path.write_text(text)
    with pytest.raises(LibertyError, match=message):
        liberty.read([path])


def test_curves_without_a_load_axis():
    curve = liberty.Curve(np.zeros(1), np.array([4.0]))
    assert np.interp(99.0, curve.load, curve.energy) == 4.0


def test_energies_of_several_supplies_add_up(tmp_path):
    """As in OpenSTA: the mean over the states of each, then the sum."""
    power = "internal_power () {{ related_pg_pin : {}; rise_power (q) {{ values ({}); }} }}"
    powers = "".join(
        power.format(supply, f'"0, {pj}"') for supply, pj in (("VDD", 0.001), ("VDD", 0.003), ("VSS", 0.005))
    )
    leakages = (("VDD", 2), ("VDD", 4), ("VSS", 1))
    leakage = "".join(f"leakage_power () {{ value : {w}; related_pg_pin : {pin}; }}" for pin, w in leakages)
    cell = f"cell (TWO) {{ {leakage} pin (Y) {{ direction : output; function : 1; {powers} }} }} cell (NOT)"
    (tmp_path / "two.lib").write_text(LIBRARY.replace("cell (NOT)", cell))
    two = liberty.read([tmp_path / "two.lib"]).cells["TWO"]
    assert two.pins["Y"].toggle_energy(0) == pytest.approx(1000 * (0.002 + 0.005))
    assert two.leakage == pytest.approx(4000)


def test_timing_is_not_read(tmp_path, tiny):
    """It is most of a library; braces in its strings and comments, and a group in it, are no end of it."""
    timing = 'timing () { when : "}" ; /* } */ cell_rise (p) { values ("1"); } rubbish ((( }'
    text = LIBRARY.replace('function : "(!A)";', f'function : "(!A)"; {timing}')
    (tmp_path / "timed.lib").write_text(text.replace("cell (NOT)", "/* timing () { */ cell (NOT)"))
    timed = liberty.read([tmp_path / "timed.lib"])
    assert timed.cells.keys() == tiny.cells.keys()
    assert timed.cells["NOT"].pins.keys() == {"A", "Y"}
    (tmp_path / "cut.lib").write_text(text[: text.index("rubbish")])
    with pytest.raises(LibertyError, match="not a Liberty file"):
        liberty.read([tmp_path / "cut.lib"])


def test_several_files_are_one_library(tmp_path, tiny):
    """Packed or not; of one corner."""
    head, rest = LIBRARY.split("  cell (NOT)")
    simple = head.replace("(tiny)", "(tiny_SIMPLE_tt)") + "  cell (NOT)" + rest.split("  cell (FF)")[0] + "}"
    others = (head + "  cell (FF)" + rest.split("  cell (FF)")[1]).replace("(tiny)", "(tiny_SEQ_tt)")
    first, second = tmp_path / "a.lib", tmp_path / "b.lib.gz"
    first.write_text(simple)
    second.write_bytes(gzip.compress(others.encode()))
    both = liberty.read([first, second])
    assert both.name == "tiny_tt"
    assert both.cells.keys() == tiny.cells.keys()
    with pytest.raises(LibertyError, match=r"a.lib: the library has no flip-flop"):
        liberty.read([first])
    second.write_bytes(gzip.compress(others.replace("2.0", "1.8").encode()))
    with pytest.raises(LibertyError, match=r"not of one corner: 2.0 V, slow, 25.0 C; 1.8 V"):
        liberty.read([first, second])
    second.write_bytes(b"not packed")
    with pytest.raises(LibertyError, match="not a gzip file"):
        liberty.read([first, second])
