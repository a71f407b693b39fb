"""A study's result for people, in Markdown."""

from typing import Any

from weightless_sim.fpga.implementation import Area
from weightless_sim.model.grid import ESTIMATED
from weightless_sim.report.summary import network_rows, not_characterised, summary
from weightless_sim.shown import in_markdown, plain
from weightless_sim.study.energy import ON_CHIP
from weightless_sim.study.result import Decoder, Report
from weightless_sw.baselines import Rate

HOW_IN_WORDS = (
    "How: file, counted in the .wls file; encoder, of an encoding made here; counted, the format's bits added up; "
    "recorded, by who made the file; rtl_sim, RTL simulation; cycle_model; gate_sim, simulation of the netlist in a "
    "library's cells; synth and place_and_route, by yosys and nextpnr; table, CACTI's memories; published, by others; "
    "theory, a formula; estimated, between decoders of a grid that was measured."
)


def to_markdown(result: Report) -> str:
    """The report for people."""
    parts = [
        f"# Weightless report: {in_markdown(result.model.name)}", "",
        *_table(["", "", "how"], [map(in_markdown, line) for line in summary(result)]),
        *[f"* {in_markdown(note)}" for note in result.notes],
        *([""] if result.notes else []),
        HOW_IN_WORDS, "",
        *_network(result),
        *(_sizes(result) if result.sizes else [f"{result.weights}.", ""]),
        *(_layouts(result) if result.layouts else []),
        *(_false_positives(result) if result.false_positives else []),
        *_runs(result),
        *(_side_by_side(result) if len(result.decoders) > 1 else []),
        *_energy(result),
        *(_encoding(result) if result.encoding else []),
        *_provenance(result), "",
    ]  # fmt: skip
    return "\n".join(parts)


def _table(head: list[str], rows: Any) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


def _network(result: Report) -> list[str]:
    """A row for each tensor, totals last."""
    head, rows = network_rows(plain(result.model))
    rows = [(in_markdown(row[0]), *row[1:]) for row in rows]
    text = (
        "Bytes are record and live maps, of the whole the file. Cycles are from a layer's first word to its last "
        "transfer, tables in turn. On chip: bits of tables that decoders are built with, and those used. Energy is "
        "that of decoding once, without DRAM and multiplying, by each decoder's first entry below."
    )
    picture = ["![network](network.png)", ""] if result.model.totals.rivals else []
    return ["## Network", "", *picture, *_table(head, rows), text, ""]


def _sizes(result: Report) -> list[str]:
    rows = [
        (row.name + (" **(smallest at a constant rate)**" if row.smallest_at_constant_rate else ""),
         f"{row.bytes:,}", f"{row.bits_per_weight:.4f}", _ratio(row.ratio_to_dense_fp32),
         "exact" if row.lossless else f"{row.n_false_positives:,} false positives", row.decoder, row.how)
        for row in result.sizes
    ]  # fmt: skip
    head = [
        "stored as",
        "bytes",
        "bit/weight",
        "against dense fp32",
        "zeros",
        "a hardware decoder",
        "counted",
    ]
    title = f"## Size of {in_markdown(result.layer)}"
    return [title, "", "![sizes](sizes.png)", "", *_table(head, rows), size_in_words(result), ""]


def _layouts(result: Report) -> list[str]:
    rows = [
        (in_markdown(row.layer), row.layout, f"{row.bytes:,}",
         "" if row.overhead is None else f"{row.overhead:.4f}", f"{row.n_false_positives:,}",
         f"{row.false_positives_per_nonzero:.3f}", f"{row.bits_per_weight:.4f}")
        for row in result.layouts
    ]  # fmt: skip
    head = ["layer", "layout", "bytes", "c", "false positives", "per non-zero weight", "bit/weight"]
    text = (
        "Record and live maps; c is what stands beside the codebook, in slots per key. The coded record is exact and "
        "decoded in series, by software."
    )
    return ["## Layouts", "", *_table(head, rows), text, ""]


def _ratio(times: float | None) -> str:
    """Empty where there is none: what takes no byte has no ratio."""
    return "" if times is None else f"{times:.1f}x"


def size_in_words(result: Report) -> str:
    """What the table of sizes says, for those who want to know what a table costs and buys."""
    *others, table, _ = result.sizes
    smaller = [
        row for row in others if row.lossless and row.bytes <= table.bytes and row.decoder != Rate.NONE
    ]
    encoding = result.encoding[result.layer]
    ours, text = ("bitmask", "") if table.lossless else ("table", "")
    if not table.lossless:
        text = f"The table costs {encoding.n_false_positives:,} false positives, "
        text += f"{encoding.false_positives_per_nonzero:.3f} per non-zero weight. "
    if not smaller:
        return text + f"Nothing exact is smaller than the {ours}."
    names = ", ".join(f"{row.name} ({row.bytes:,} bytes; {row.decoder})" for row in smaller)
    return text + f"Smaller than the {ours}, without any error: {names}."


def _false_positives(result: Report) -> list[str]:
    rows = [
        (p.slot_bits, f"{r.false_positive_rate:.5f}", f"{r.expected_false_positive_rate:.5f}",
         f"{r.false_positive_sigma:.5f}", f"{r.false_positives_per_nonzero:.3f}", f"{r.bits_per_weight:.4f}",
         f"{r.slots_per_key:.4f}")
        for p in result.false_positives
        for r in (p.report,)
    ]  # fmt: skip
    head = [
        "t",
        "share of the stored zeros",
        "K / 2^t",
        "σ",
        "per non-zero weight",
        "bit/weight",
        "slots per key",
    ]
    return ["## False positives", "", "![false positives](false_positives.png)", "", *_table(head, rows)]


def _runs(result: Report) -> list[str]:
    rows = [
        (name, f"{run.n_weights:,}", run.n_mismatches, f"{run.cycles_rtl_sim:,}",
         f"{run.cycles_cycle_model:,}", f"{run.weights_per_cycle:.3f}")
        for name, run in result.runs.items()
    ]  # fmt: skip
    head = ["run (stalls)", "weights compared", "mismatches", "cycles, RTL simulation", "cycles, model",
            "weights per cycle of the last layer, decoding"]  # fmt: skip
    texts = []
    for decoder in result.decoders.values():
        config = ", ".join(f"{name} {value}" for name, value in decoder.config.items())
        texts += [
            f"Decoder of {in_markdown(', '.join(decoder.tables))}: {config}; {decoder.table_bits:,} bits of "
            f"table memory; fill latency {decoder.fill_latency_cycles} cycles.  Verilog: `{decoder.verilog}`.",
            "",
        ]
    pictures = ["![throughput](throughput.png)", "", "![data path](datapath.svg)"]
    if result.runs["none"].window:
        pictures += ["", "![the window over the table](window.png)"]
    return ["## Simulation", "", *texts, *pictures, "", *_table(head, rows), *_events(result)]


def _side_by_side(result: Report) -> list[str]:
    """The decoders, a column each."""
    columns = [_column(result, name, decoder) for name, decoder in result.decoders.items()]
    head = ["", *(column.pop("decoder") for column in columns)]
    rows = [(what, *(column[what] for column in columns)) for what in columns[0]]
    return ["## Decoders side by side", "", *_table(head, rows)]


def _column(result: Report, name: str, decoder: Decoder) -> dict[str, str]:
    """What is known of a decoder and of its largest table."""
    table, alone = decoder.table, result.first_layer(name)
    with_loading = table.n_stored / alone.end
    encoding = result.encoding.get(decoder.tables[0])
    column = {
        "decoder": f"{decoder.layout}, {decoder.config['lanes']} lanes",
        "table": in_markdown(decoder.tables[0]),
        "bytes, with maps": f"{table.bytes:,}",
        "false positives": f"{encoding.n_false_positives:,}" if encoding else "",
        "bits of table memory on chip": f"{decoder.table_bits:,}",
        "cycles from reset to the last weight": f"{alone.end:,}",
        "weights per cycle, decoding": f"{table.n_stored / alone.decode_cycles:.3f}",
        "weights per cycle, with loading": f"{with_loading:.3f}",
        "LUT4 + as memory, FF, block RAM, multipliers": "not placed",
        "MHz (weights/s with loading)": "not placed",
        "pJ per weight": "not characterised",
        "pJ per non-zero": "not characterised",
        "um2 without memories": "not characterised",
    }
    if decoder.fpga:
        placed = decoder.fpga[0]
        took = Area(**placed.area)
        column["LUT4 + as memory, FF, block RAM, multipliers"] = (
            f"{took.luts} + {took.luts_memory}, {took.flip_flops}, {took.block_rams}, {took.multipliers} "
            f"({placed.device}{_estimated(placed.how['area'])})"
        )
        rate = placed.fmax_mhz * with_loading
        column["MHz (weights/s with loading)"] = (
            f"{placed.fmax_mhz:.1f} ({rate:,.0f} M{_estimated(placed.how['fmax'])})"
        )
    if decoder.energy:
        entry = decoder.energy[0]
        low, high = entry.pj_per_weight_settled, entry.pj_per_weight_glitches
        column["pJ per weight"] = f"{low:.2f} to {high:.2f} ({entry.library}{_estimated(entry.how)})"
        column["um2 without memories"] = f"{entry.area_um2:,.0f}"
        if encoding and encoding.n_nonzero:
            zeros = encoding.n_stored / encoding.n_nonzero
            column["pJ per non-zero"] = f"{low * zeros:.1f} to {high * zeros:.1f}"
    return column


def _estimated(how: str) -> str:
    """What is said beside a figure that nobody measured."""
    return f", {ESTIMATED}" if how == ESTIMATED else ""


def _energy(result: Report) -> list[str]:
    """All that is known of the decoders' energy."""
    rows = [
        (name, e.library, f"{e.volts} V", f"{e.clock_ghz:g} GHz", "yes" if e.clock_gates else "no",
         f"{e.logic_settled_pj:.1f} to {e.logic_glitches_pj:.1f}",
         f"{e.memory_pj:.1f} ({e.source.rpartition(', ')[2]})",
         f"{e.pj_per_weight_settled:.2f} to {e.pj_per_weight_glitches:.2f}", f"{e.area_um2:,.0f}",
         e.how, e.origin + (", of an older decoder" if e.older_decoder else ""), e.accuracy)
        for name, decoder in result.decoders.items()
        for e in decoder.energy
    ]  # fmt: skip
    head = ["decoder", "library", "voltage", "clock asked", "clock gates", "logic, pJ per beat",
            "memory reads, pJ per beat (memory)", "pJ per weight", "um2 without memories", "how", "from",
            "not in it"]  # fmt: skip
    return [
        "## Energy",
        "",
        *(_table(head, rows) if rows else [not_characterised(result), ""]),
        *_comparison(result),
    ]


def _comparison(result: Report) -> list[str]:
    """Energy per non-zero weight beside other ways to store the layer."""
    energy = result.energy
    if not energy:
        return []

    def span(values: tuple[float, float]) -> str:
        low, high = values
        digits = 1 if high < 10 else 0
        return f"{low:,.{digits}f}" if low == high else f"{low:,.{digits}f} to {high:,.{digits}f}"

    drams = energy.drams
    rows = [(row.name, *map(span, row.places.values()), row.how, row.counts) for row in energy.rows]
    head = ["pJ per non-zero weight", "on chip", *(f"and from {dram}" for dram in drams), "how", "counts"]
    places = [ON_CHIP.replace("_", " "), *(f"from {dram}" for dram in drams)]
    least = [
        (place, *map(_winners, both)) for place, both in zip(places, energy.winners.values(), strict=True)
    ]
    eie, mac = energy.gap_coded, energy.multiply_accumulate
    text = (
        f"Gap-coded: {eie.value} pJ an entry, {eie.accuracy} ({eie.source}). SRAM: 45 nm itrs-lop, CACTI 7. A "
        f"dense layer comes from SRAM or from DRAM, not from both. An fp16 multiply-accumulate, which the others' rows "
        f"do not have, takes {mac.pj:.1f} pJ ({mac.of[0].source})."
    )
    said = (
        "What takes the least energy, by density: weights at random places, every index decoded, these DRAMs."
    )
    return [
        "![parts](parts.png)", "", "![energy](energy.png)", "", *_table(head, rows), text, "", said, "",
        *_table(["", "settled", "with glitches"], least),
    ]  # fmt: skip


def _winners(found: list[tuple[float, str]]) -> str:
    return "; ".join(f"{name} from {density:.1%} on" if density else name for density, name in found)


def _events(result: Report) -> list[str]:
    """What each unit did, counted in the simulation."""
    lines = []
    for name, run in result.runs.items():
        if events := run.events:
            text = f"Run {name}: {events.cycles:,} cycles, {events.held:,} held, {events.words:,} words."
            rows = [
                (unit, *(f"{n:,}" for n in (counts.enabled, counts.useful, counts.idle)))
                for unit, counts in events.units.items()
            ]
            lines += [text, "", *_table(["unit", "cycles enabled", "useful (a beat)", "idle"], rows)]
    text = "Counted in the simulation, and equal to the cycle model.  Enabled: the unit's registers take new values."
    return ["### Events", "", text, "", *lines]


def _encoding(result: Report) -> list[str]:
    fields = ["n_weights", "n_nonzero", "n_codes", "layout", "seed", "slots_per_key", "n_false_positives",
              "bytes", "bits_per_weight", "bits_per_nonzero"]  # fmt: skip
    rows = [
        (
            in_markdown(name),
            *(f if isinstance(f := getattr(report, field), str) else round(f, 4) for field in fields),
        )
        for name, report in result.encoding.items()
    ]
    return ["## Encoding", "", *_table(["layer", *fields], rows)]


def _provenance(result: Report) -> list[str]:
    origin = result.provenance
    versions = ", ".join(f"{name} {number}" for name, number in origin.versions.items())
    lines = [
        f"weightless {origin.version}, commit {origin.commit}, file {result.file.sha256[:16]}, "
        f"specification {origin.specification_digest}, Python {origin.python}, "
        f"{versions}."
    ]
    info = result.model.info
    if "test_error_percent" in info:
        lines.append(f"Model: {info['test_error_percent']} % test error before encoding (see its .json).")
    return ["## Provenance", "", *lines]
