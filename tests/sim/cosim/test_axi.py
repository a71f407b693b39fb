"""The AXI shell against the golden model, on every simulator that is there (tests/helpers/axi_bench.py)."""

import json

import pytest
from cocotb_tools.runner import get_results, get_runner
from frames import record, refused

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export.verilog import to_verilog
from weightless_hw.ribbon.config import RibbonConfig
from weightless_sim import tools
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import frame
from weightless_sw.records import resident_record, tile_record
from weightless_sw.spec.record import Runs

TOP = "weightless_axi"
CONFIGS = {
    "one byte": ClassicConfig(lanes=1, slot_bits=8, max_bank_rows=120, max_codes=16, value_bits=8),
    "16 bytes": ClassicConfig(lanes=8, slot_bits=9, max_bank_rows=40, max_codes=40, tiles=1),
    "ribbon": RibbonConfig(lanes=4, slot_bits=9, max_codes=40),
    "bitmask": BitmaskConfig(lanes=4, slot_bits=9, max_codes=40),
}


def given(config):
    """What the bench reads: frames by name, and why those that are refused are."""
    good = record(config, 400, 40, 3)
    frames = {
        "good": frame(good),
        "empty": frame(record(config, 17, 0, 1)),
    }
    tail, again = record(config, 123, 10, 2, seed=1), resident_record if config.keeps_table() else bytes
    frames |= {"tail": frame(tail), "again": frame(again(tail)), "good again": frame(again(good))}
    if config.takes_tiles:
        tiles = (Runs(3, 7, 5, 9), Runs(5, 1, 100, 3), Runs(16, 16, 6, 64), Runs(399, 1, 1, 1))
        frames |= {f"tile {k}": frame(tile_record(good, runs)) for k, runs in enumerate(tiles)}
    wrong = refused(config)
    names = (
        wrong
        if config.lanes > 1
        else ["layout", "payload words too few", "ends in the table", "many too many", "CRC"]
    )
    frames |= {name: wrong[name][0] for name in names} | {"CRC": wrong["CRC"][0]}
    return {
        "layout": config.GEOMETRY.NAME,
        "config": vars(config),
        "frames": frames,
        "refused": {name: int(wrong[name][1]) for name in names},
    }


def run(folder, simulation, pauses):
    """The bench, in the folder where it was built: the log of a whole run."""
    with tools.our_environment():
        simulation.test(
            test_module="axi_bench", hdl_toplevel=TOP, hdl_toplevel_lang="verilog", build_dir=folder,
            test_dir=folder, results_xml=str(folder / "results.xml"), log_file=folder / "run.log", seed=1,
            timescale=("1ns", "1ps"),
            extra_env={"WEIGHTLESS_FRAMES": str(folder / "frames.json"), "WEIGHTLESS_PAUSES": pauses,
                       "COCOTB_ANSI_OUTPUT": "0", "COCOTB_REWRITE_ASSERTION_FILES": ""},
        )  # fmt: skip
    n_tests, n_failed = get_results(folder / "results.xml")
    assert (n_tests, n_failed) == (8, 0), (folder / "run.log").read_text()[-6000:]


@pytest.mark.parametrize(
    ("simulator", "config"),
    [
        pytest.param(simulator, config, id=f"{simulator}-{name}")
        for simulator in runner.SIMULATORS
        for name, config in CONFIGS.items()
        if simulator == "icarus" or config.lanes == 8
    ],
)
def test_axi_bench(tmp_path, need, simulator, config):
    """With and without pauses on every channel.  A build of Verilator takes half a minute: of one configuration."""
    need(runner.missing(simulator))
    (tmp_path / f"{TOP}.v").write_text(to_verilog(config, TOP, axi=True))
    (tmp_path / "frames.json").write_text(json.dumps(given(config)))
    simulation = get_runner(simulator)
    with tools.our_environment(), runner.shared_runtime(tmp_path):
        simulation.build(
            sources=[tmp_path / f"{TOP}.v"], hdl_toplevel=TOP, build_dir=tmp_path, build_args=runner.FLAGS[simulator],
            timescale=("1ns", "1ps"), log_file=tmp_path / "build.log",
        )  # fmt: skip
    for pauses in ("", "1"):
        run(tmp_path, simulation, pauses)
