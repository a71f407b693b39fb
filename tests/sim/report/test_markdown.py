import re
import shlex
from dataclasses import replace

from reports import ENTRY, PLACEMENT, energy, row, with_decoders

from weightless_sim import cli
from weightless_sim.commands import asic as commands_asic
from weightless_sim.commands import hardware
from weightless_sim.report import markdown, summary, write


def lines(summary):
    """The figures by their names."""
    return {what: figure for what, figure, _ in summary}


def test_files_and_summary(result, tmp_path):
    paths = write.write(result, tmp_path)
    assert {path.name for path in paths} == {
        "report.md", "report.json", "sizes.png", "false_positives.png", "throughput.png", "datapath.svg", "energy.png",
        "parts.png", "network.png", "report.html",
    }  # fmt: skip
    for path in paths:
        assert path.stat().st_size > 500
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
    text = paths[0].read_text()
    for name in [*(set(write.PLOTS) - {"window.png"}), "datapath.svg"]:
        assert f"]({name})" in text
    told = lines(summary.summary(result))
    n_stored, n_all = (result.runs[name].n_weights for name in ("none", "in turn"))
    assert told["RTL against golden model"].startswith(
        f"0 mismatches in {n_stored:,} stored weights of a; 0 in {n_all + 5 * n_stored:,} of all 6 runs"
    )
    assert "equal in all 6 runs" in told["cycles"]


def test_summary_says_when_cycles_differ(result):
    sink = result.runs["sink"]
    wrong = replace(sink, cycles_cycle_model=sink.cycles_cycle_model + 1)
    broken = replace(result, runs=result.runs | {"sink": wrong})
    assert "NOT EQUAL" in lines(summary.summary(broken))["cycles"]


def test_energy_is_said_to_be_unknown_or_where_it_is_from(result):
    file = result.file.path
    unknown = with_decoders(result, energy=[], fpga=[])
    needed = f"not characterised: run `weightless asic --for {file} --liberty FILE`"
    assert lines(summary.summary(unknown))["energy"] == needed
    assert needed in markdown.to_markdown(unknown)
    source = "weightless asic; memory reads: CACTI, 22 nm itrs-hp"
    entry = replace(ENTRY, source=source, older_decoder=True)
    told = with_decoders(result, energy=[entry], fpga=[])
    assert (
        lines(summary.summary(told))["on an FPGA"]
        == f"not placed: run `weightless fpga --for {file} --seeds 3`"
    )
    told = with_decoders(told, fpga=[PLACEMENT])
    line = lines(summary.summary(told))["on an FPGA"]
    assert line.startswith("800 M weights/s at 100.0 MHz, ")
    assert line.endswith(" M with loading (d, shipped)")
    line = lines(summary.summary(told))["energy"]
    assert (
        line == "2.0 to 3.0 pJ per weight, 23 to 34 per non-zero "
        "(x 1.1 V, memory reads from CACTI, shipped, of an older decoder)"
    )
    assert (
        "| 8.0 (22 nm itrs-hp) | 2.00 to 3.00 | 9 | gate_sim | shipped, of an older decoder | no clock tree |"
        in markdown.to_markdown(told)
    )


def test_energy_beside_others(result, tmp_path):
    others = {"HBM2": (9.0, 9.0), "LPDDR4": (20.0, 30.0)}
    rows = (row("table", on_chip=(40.0, 50.0), **others), row("dense int8", on_chip=(3.25, 3.25), **others))
    told = replace(result, energy=energy(*rows, drams=("HBM2", "LPDDR4")))
    text = markdown.to_markdown(told)
    assert "| table | 40 to 50 | 9.0 | 20 to 30 | h | c |" in text
    assert "| dense int8 | 3.2 |" in text
    assert "| on chip | gap-coded; table from 60.0% on | gap-coded |" in text
    assert "| from HBM2 | table | table |" in text
    assert "takes 1.5 pJ (somebody)" in text
    told = with_decoders(told, energy=[ENTRY])
    paths = write.write(told, tmp_path)
    assert {tmp_path / "energy.png", tmp_path / "parts.png"} <= set(paths)
    write.write(replace(result, energy=None), tmp_path)
    assert not (tmp_path / "energy.png").exists()


def test_what_nobody_measured_is_estimated_and_says_so(result):
    """The small decoder of this report is no shipped one: between those of the grid."""
    told = {what: (figure, how) for what, figure, how in summary.summary(result)}
    for what, command in (("energy", "asic"), ("on an FPGA", "fpga")):
        figure, how = told[what]
        assert how == "estimated"
        assert ", estimated); to " in figure
        assert f"run `weightless {command} --for" in figure
    text = markdown.to_markdown(result)
    assert "points left out were off by" in text
    ((name, decoder),) = result.decoders.items()
    column = markdown._column(result, name, decoder)
    assert column["pJ per weight"].endswith(" (NangateOpenCellLibrary, estimated)")
    assert column["MHz (weights/s with loading)"].endswith(", estimated)")
    assert "(ecp5-85k, estimated)" in column["LUT4 + as memory, FF, block RAM, multipliers"]


def test_every_line_says_how_it_was_got(result):
    how = {what: got for what, _, got in summary.summary(result)}
    assert how["cycles"] == "rtl_sim, cycle_model"
    assert how["false positives"] == "encoder, theory"
    assert all(how.values())
    assert "| cycles |" in (text := markdown.to_markdown(result))
    assert markdown.HOW_IN_WORDS in text
    for got in set(", ".join(how.values()).split(", ")):
        assert got in markdown.HOW_IN_WORDS


def test_hints_are_commands_whose_results_are_found_again(result):
    """`fpga --for` and `asic --for` make the very decoders of the report, by the names that it looks for."""
    asked = [lines(summary.summary(result))[line] for line in ("on an FPGA", "energy")]
    commands = [re.search("run `weightless (.*)`$", text)[1] for text in asked]
    fpga, asic = (cli._parser(words).parse_args(words) for words in map(shlex.split, commands))
    assert {config.name for config in hardware._configs(fpga)} == set(result.decoders)
    largest = next(decoder for decoder in result.decoders.values() if result.layer in decoder.tables)
    config, table, _, _ = commands_asic._workload(asic)
    assert vars(config) == largest.config
    assert table.shape == (40, 60)


def test_the_hint_of_the_bundled_file_is_its_name(result):
    told = replace(result, model=replace(result.model, name="lenet300"))
    assert "run `weightless fpga --for lenet300 --seeds 3`" in lines(summary.summary(told))["on an FPGA"]
