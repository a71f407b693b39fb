import dataclasses

import pytest

from weightless_hw import decoders
from weightless_hw.export.verilog import to_verilog
from weightless_sim.folders import Folders
from weightless_sim.fpga import implementation as fpga
from weightless_sim.model import technology
from weightless_sim.model.technology import TechnologyError
from weightless_sw import container, inputs


@pytest.fixture
def entry(tmp_path):
    return technology.known(folders=Folders(tmp_path / "none"))[0]


def test_shipped_entries_are_whole_and_say_where_they_are_from(entry):
    for one in technology.shipped():
        low, high = one.pj_per_weight()
        assert 0 < low < high
        assert one.origin == "shipped"
        assert one.how == "gate_sim"
        assert one.source.startswith("weightless asic")
        assert "clock tree" in one.accuracy
        for k, logic in enumerate((one.logic_settled_pj, one.logic_glitches_pj)):
            assert sum(pair[k] for pair in one.parts.values()) == pytest.approx(logic, abs=0.01)


def test_the_bundled_models_decoder_is_characterised(entry):
    """Its very Verilog, or, where that is other by now, as an older decoder's: never dropped."""
    table = container.read(inputs.bundled_file("lenet300"))["fc1.weight"]
    config = decoders.for_layers([table.geometry]).for_cells()
    rows = technology.of_decoder(config.name, technology.digest(to_verilog(config)), technology.known())
    assert {row.clock_gates for row in rows} == {True, False}
    assert {row.library for row in rows} == {"NangateOpenCellLibrary", "asap7sc7p5t_RVT_TT_nldm"}
    older = {(row.library, row.older_decoder) for row in rows}
    assert len(older) == 2  # of one text for each library


def test_an_entry_comes_back(entry, tmp_path):
    path = tmp_path / "entry.toml"
    path.write_text(technology.to_toml(entry))
    (back,), others = technology.read(path)
    assert others == []
    assert back == dataclasses.replace(entry, origin=str(path))
    assert technology.known([path])[0] == back


def test_entries_of_this_machine_are_found(entry, tmp_path):
    mine = Folders(tmp_path)
    path = mine.asic / "key" / "entry.toml"
    path.parent.mkdir(parents=True)
    path.write_text(technology.to_toml(entry))
    assert technology.known(folders=mine)[-1].origin == "shipped"  # the same measurement again
    path.write_text(technology.to_toml(dataclasses.replace(entry, clock_ghz=0.5)))
    assert technology.known(folders=mine)[-1].origin == str(path)
    path.write_text("of another version")
    assert technology.known(folders=mine)[-1].origin == "shipped"


def test_of_another_text_is_of_an_older_decoder(entry):
    rows = technology.of_decoder(entry.decoder, "0" * 16, [entry])
    assert [row.older_decoder for row in rows] == [True]
    newer = dataclasses.replace(entry, verilog_sha256="0" * 16)
    rows = technology.of_decoder(entry.decoder, "0" * 16, [entry, newer])
    assert [row.older_decoder for row in rows] == [False, True]
    assert technology.of_decoder("another", "0" * 16, [entry]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace("volts", "volt"),
            "1: unknown field volt; .*missing required field `volts`",
        ),
        (lambda text: text.replace("lanes = 1\n", 'lanes = "1"\n'), r"got `str` - at `\$.lanes`"),
        (
            lambda text: text.replace("clock_gates = true", "clock_gates = 1"),
            r"got `int` - at `\$.clock_gates`",
        ),
        (lambda text: text.replace("lanes = 1\n", "lanes = true\n"), r"got `bool` - at `\$.lanes`"),
        (lambda text: text + '"x" = [1.0]\n', r"length 2, got 1 - at `\$.parts"),
        (lambda text: "x = [", "not a TOML file"),
        (lambda text: "", r"holds no \[\[logic\]\] or \[\[reference\]\] entry"),
        (lambda text: "[x]", r"x: not an entry; there are \[\[logic\]\]"),
        (lambda text: "logic = 3", r"write \[\[logic\]\] before each entry"),
    ],
)
def test_bad_files_are_refused(entry, tmp_path, change, message):
    path = tmp_path / "x.toml"
    path.write_text(change(technology.to_toml(entry)))
    with pytest.raises(TechnologyError, match=message):
        technology.read(path)


MINE = """
[[reference]]
name = "HBM2"
kind = "dram"
value = 5
unit = "pJ/bit"
source = "measured here"
accuracy = "all of it"
"""


def test_references_say_where_they_are_from():
    known = technology.references()
    assert {one.kind for one in known.values()} == set(technology.UNITS)
    for one in known.values():
        assert one.source
        assert one.accuracy
        assert one.unit == technology.UNITS[one.kind]
        assert one.origin == "shipped"
    with pytest.raises(ValueError, match="no figure is called 'HBM9'; there are: HBM2; HBM2E;"):
        technology.reference(known, "HBM9")
    with pytest.raises(ValueError, match="no figure of dram is called 'register'; there are: HBM2;"):
        technology.reference(known, "register", "dram")


def test_an_own_figure_replaces_the_shipped_one(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    known = technology.references([path])
    assert (known["HBM2"].value, known["HBM2"].origin) == (5, str(path))
    assert known["LPDDR4"].origin == "shipped"
    assert technology.known([path]) == technology.known()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"dram"', '"disk"', "HBM2: no kind is called 'disk'; there are: dram, sram"),
        ('"pJ/bit"', '"nJ/bit"', "HBM2: in 'nJ/bit'; figures of dram are in pJ/bit"),
        ("value = 5", "value = -5", "-5 is no figure"),
        ("value = 5", "value = nan", "nan is no figure"),
        ("value = 5", 'value = "5"', r"reference entry 1: Expected `float`, got `str` - at `\$.value`"),
        ("value = 5", "value = 5\nvolts = true", r"got `bool` - at `\$.volts`"),
        ('source = "measured here"', "", "missing required field `source`"),
    ],
)
def test_bad_figures_are_refused(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(MINE.replace(old, new))
    with pytest.raises(TechnologyError, match=message):
        technology.references([path])


def test_what_was_placed_is_kept_and_found(tmp_path):
    mine = Folders(tmp_path)
    area = fpga.Area(1, 2, 3, 4, 5, "Yosys")
    fpga.keep(fpga.Result("up5k", 1, "x", area, {1: 30.0}, "1" * 16, {}), mine)
    (mine.placed / "rubbish.json").write_text("{")
    (found,) = technology.placed("x", "1" * 16, mine)
    assert found.older_decoder is False
    assert found.weights_per_second == 30e6
    assert found.origin == str(mine.placed / "up5k-x.json")
    assert technology.placed("x", "0" * 16, mine)[0].older_decoder is True
    fpga.keep(fpga.Result("up5k", 1, "x", area, {}, "1" * 16, {}), mine)  # synthesised only
    assert technology.placed("x", "1" * 16, mine) == []


def test_the_bundled_models_decoder_was_placed():
    table = container.read(inputs.bundled_file("lenet300"))["fc1.weight"]
    config = decoders.for_layers([table.geometry])
    rows = [row for row in technology.placed(config.name, "") if row.origin == "shipped"]
    assert rows[0].device == "ecp5-85k"
    assert rows[0].how == {"area": "synth", "fmax": "place_and_route"}
    assert rows[0].weights_per_second == pytest.approx(8e6 * rows[0].fmax_mhz)
