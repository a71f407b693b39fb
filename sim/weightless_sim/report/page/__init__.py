"""``report.html``: a report as one page, self-contained, made of the content of ``report.json``."""

from importlib.resources import files
from math import ceil, isfinite, sqrt
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_sim.fpga import families
from weightless_sim.model import sram
from weightless_sim.model.cycles import STATES
from weightless_sim.model.grid import ESTIMATED
from weightless_sim.model.technology import KnownEntry
from weightless_sim.report.page import charts
from weightless_sim.report.summary import as_argument, network_rows, to_csv
from weightless_sim.shown import shown
from weightless_sim.study.energy import by_function
from weightless_sim.study.result import SCHEMA
from weightless_sw.baselines import CONSTANT_RATES, Kind, Rate, rate_of

Json = Any  # of a report
SHOWN_LAYERS = 24  # whose sections are on the page, the largest ones
WHAT_STALLS = {
    "none": "neither side waits",
    "source": "words come in 60 % of the cycles, at random",
    "sink": "the array takes a beat in 60 % of the cycles, at random",
    "both": "both of these",
    "long stall": "500 cycles without words, and 500 in which nothing is taken",
}
WHAT_STATES = {
    "load": "no beat has come yet, or all are out",
    "beat": "is taken",
    "bubble": "none is offered, between a layer's first and its last",
    "stalled": "one is offered, and not taken",
}


class ReportError(ValueError):
    """What is given is no report of this version."""


def to_html(report: Json) -> str:
    """The page of a report, the content of ``report.json``.  Raises ReportError for anything else."""
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        found = report.get("schema") if isinstance(report, dict) else type(report).__name__
        raise ReportError(f"no {SCHEMA}, but {found!r}: make it with weightless sim of this version")
    template = environment().get_template("page.html")
    try:
        return str(template.render(page(report)))
    except (KeyError, TypeError, IndexError, AttributeError, jinja2.UndefinedError) as error:
        raise ReportError(
            f"a report without {error}: it was changed since weightless sim wrote it"
        ) from error


def environment() -> jinja2.Environment:
    """Of templates in this folder: names are escaped, style and program go into the page."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("weightless_sim.report", "page"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    made.filters |= {
        "n": number,
        "si": si,
        "pair": pair,
        "share": share,
        "text": shown,
        "plain": plain_number,
    }
    folder = files("weightless_sim.report.page")
    made.globals |= {name: Markup(folder.joinpath(f"page.{name}").read_text()) for name in ("css", "js")}
    return made


def page(report: Json) -> dict[str, Any]:
    """All that the template shows; names of tensors are still data."""
    layers = sections(report)
    heads, rows = network_rows(report["model"])
    return {
        "report": report,
        "verdict": verdict(report),
        "heads": heads,
        "rows": rows,
        "csv": to_csv(report["model"]),
        "layers": layers,
        "chosen": {one["place"] for one in layers},
        "energy": energies(report),
        "errors_by_step": errors_by_step(report),
        "sweep": charts.sweep(report["false_positives"]) if report["false_positives"] else "",
        "how": sources(report),
    }


# Figures in words.


def number(value: float | None, digits: int = 0) -> str:
    """With thousands apart; a dash where there is none."""
    return "–" if value is None or not isfinite(value) else f"{value:,.{digits}f}"


def plain_number(cell: str) -> str:
    """What a cell of the network's table is sorted by: its first number, as a program reads it."""
    return cell.split(" ")[0].replace(",", "").rstrip("%")


def share(value: float | None, digits: int = 2) -> str:
    """Of 1, in per cent."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def si(value: float | None, unit: str) -> str:
    """Three digits and a prefix, as page.js has it."""
    if value is None:
        return "–"
    for factor, prefix in (
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
    ):
        if abs(value) >= factor or factor == 1e-9:
            scaled = value / factor
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f} {prefix}{unit}"
    raise AssertionError(value)


def pair(values: Json, unit: str = "") -> str:
    """Settled to with glitches."""
    if values is None:
        return "–"
    low, high = (f"{one:,.{0 if one >= 100 else 1 if one >= 10 else 2}f}" for one in values)
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


# 1. Verdict.


Line = dict[str, Any]
WINS, LOSES, EVEN = "wins", "loses", "even"


def verdict(report: Json) -> list[Line]:
    """A line per question: the figure, and the rivals that win or lose against it."""
    lines = (
        _bytes(report),
        _file(report),
        _rate(report),
        _energy(report),
        _errors(report),
        _accuracy(report),
    )
    return [line for line in lines if line]


def _line(question: str, section: str, figure: str, *rivals: tuple[str, str]) -> Line:
    """``rivals``: what is said of each, and whether ours wins, loses, or neither."""
    return {"question": question, "section": section, "figure": figure, "rivals": rivals}


def _outcome(wins: bool) -> str:
    return WINS if wins else LOSES


def _bytes(report: Json) -> Line:
    ours = report["table"]["bytes"]
    figure = f"{ours:,} bytes, {report['table']['bits_per_weight']:.3f} bit a weight"
    rows = [row for row in report["sizes"] if row["kind"] not in (Kind.TABLE, Kind.PAYLOAD, Kind.DENSE)]
    if not rows:
        return _line("How many bytes?", "size", figure, ("others are not known without the weights", EVEN))
    read = [row for row in rows if row["decoder"] != Rate.NONE]
    constant = min((row for row in read if row["decoder"] in CONSTANT_RATES), key=lambda row: row["bytes"])
    exact = min((row for row in read if row["lossless"]), key=lambda row: row["bytes"])
    said = [
        (f"the best other at a constant rate, {constant['name']}, takes {constant['bytes']:,}",
         _outcome(ours <= constant["bytes"])),
        (f"the smallest exact one, {exact['name']} ({exact['decoder']}), takes {exact['bytes']:,}",
         _outcome(ours <= exact["bytes"])),
    ]  # fmt: skip
    return _line("How many bytes?", "size", figure, *said)


def _file(report: Json) -> Line | None:
    whole = report["model"]["totals"]
    rivals = {name: n for name, n in whole["rivals"].items() if not name.startswith("order-0")}
    if not rivals:
        return None
    name = min(rivals, key=lambda one: rivals[one])
    figure = f"{whole['bytes']:,} bytes of {report['file']['dense_bytes']:,}"
    said = f"all of it as {name} takes {rivals[name]:,}", _outcome(whole["bytes"] <= rivals[name])
    return _line("And the whole file?", "network", figure, said)


def _rate(report: Json) -> Line:
    run, encoding = report["runs"]["none"], report["encoding"].get(report["layer"])
    figure = f"{run['weights_per_cycle']:.2f} weights a clock, {run['cycles_rtl_sim']:,} cycles with loading"
    if not encoding:
        return _line("How fast?", "throughput", figure, ("how many weights are zero is not known", EVEN))
    n = encoding["n_nonzero"]
    said = (
        f"one non-zero a clock, as gap-coded decoders do, takes {n:,} cycles",
        _outcome(run["cycles_rtl_sim"] <= n),
    )
    return _line("How fast?", "throughput", figure, said)


def _energy(report: Json) -> Line:
    if not report["energy"]:
        return _line("What energy?", "energy", "not known", ("the decoder or the weights are not", EVEN))
    ours, *others = report["energy"]["rows"]
    best = min((row for row in others if row["complete"]), key=lambda row: row["places"]["on_chip"][1])
    mine, theirs = ours["places"]["on_chip"], best["places"]["on_chip"]
    apart = mine[1] <= theirs[0] or mine[0] >= theirs[1]
    said = f"{best['name']} takes {pair(theirs)}", _outcome(mine[1] <= theirs[0]) if apart else EVEN
    return _line("What energy?", "energy", f"{pair(mine)} pJ a non-zero weight, on chip", said)


def _errors(report: Json) -> Line:
    encoding = report["encoding"].get(report["layer"])
    if not encoding:
        return _line("How many errors?", "errors", "not known", ("which needs the weights", EVEN))
    n, per = encoding["n_false_positives"], encoding["false_positives_per_nonzero"]
    if not n:
        return _line("How many errors?", "errors", "none", ("as every exact format", EVEN))
    figure = f"{n:,} false positives, {per:.3f} a non-zero weight"
    return _line("How many errors?", "errors", figure, ("every exact format has none", LOSES))


def _accuracy(report: Json) -> Line:
    accuracy = report["accuracy"]
    if accuracy["unknown"]:
        why = accuracy["unknown"].removeprefix("unknown: ")
        return _line("What accuracy?", "errors", "not known", (why, EVEN))
    steps, n = list(accuracy["wrong"].items()), accuracy["test_images"]
    (first, before), (last, after) = steps[0], steps[-1]
    said = f"{first}, it was {before / n:.2%}, of {n:,} images", _outcome(after <= before)
    return _line("What accuracy?", "errors", f"{after / n:.2%} test error, {last}", said)


# 3 to 6. Sections of a layer.


def sections(report: Json) -> list[dict[str, Any]]:
    """Of the largest layers, the largest table first: what sections 3 to 6 show of each."""
    layers = report["model"]["layers"]
    by_size = sorted(
        range(len(layers)), key=lambda k: (layers[k]["name"] != report["layer"], -layers[k]["bytes"])
    )
    return [_section(report, layers[k], k) for k in by_size[:SHOWN_LAYERS]]


def _section(report: Json, layer: Json, place: int) -> dict[str, Any]:
    decoder = report["decoders"].get(layer["decoder"])
    return {
        "layer": layer,
        "place": place,
        "sizes": _size_rows(report, layer),
        "layouts": [row for row in report["layouts"] if row["layer"] == layer["name"]],
        "is_largest": layer["name"] == report["layer"],
        "throughput": _throughput(report, layer, decoder) if decoder else None,
        "hardware": _hardware(decoder) if decoder else None,
    }


def _size_rows(report: Json, layer: Json) -> list[dict[str, Any]]:
    """Bars of a layer, the smallest first; shares of the longest one."""
    if layer["name"] == report["layer"] and report["sizes"]:
        rows = [
            {
                **row,
                "ours": row["kind"] in (Kind.TABLE, Kind.PAYLOAD, Kind.LAYOUT),
                "own": row["kind"] == Kind.TABLE,
            }
            for row in report["sizes"]
            if row["kind"] != Kind.DENSE
        ]
    else:
        rows = [
            {"name": name, **row, "lossless": True, "ours": False, "own": False}
            for name, row in layer["rivals"].items()
            if not name.startswith("dense")
            and not (name.startswith("coded") and layer["stored_as"] == "coded")
        ]
        rows += [_own_row(row, layer) for row in report["layouts"] if _is_of(row, layer)]
        if layer["stored_as"] in ("coded", "raw"):
            rate = Rate.SERIAL if layer["stored_as"] == "coded" else Rate.NONE
            rows.append({"name": f"in the file, {layer['stored_as']}", "bytes": layer["bytes"], "how": "counted in it",
                         "decoder": rate, "lossless": True, "ours": True, "own": True})  # fmt: skip
    longest = max((row["bytes"] for row in rows), default=0) or 1
    for row in rows:
        row["share"] = 100 * row["bytes"] / longest
        row["constant"] = row["decoder"] in CONSTANT_RATES
        row["bits"] = 8 * row["bytes"] / max(1, layer["n_weights"])
    return sorted(rows, key=lambda row: row["bytes"])


def _is_of(row: Json, layer: Json) -> bool:
    """Whether a row of layouts is one of a table's own."""
    return bool(row["layer"] == layer["name"] and row["layout"] in decoders.BY_NAME)


def _own_row(row: Json, layer: Json) -> dict[str, Any]:
    geometry = decoders.BY_NAME[row["layout"]].config.GEOMETRY
    return {
        "name": f"Weightless {row['layout']}", "bytes": row["bytes"], "lossless": geometry.EXACT, "ours": True,
        "how": "record and maps", "decoder": rate_of(geometry),
        "own": row["layout"] == layer["stored_as"],
    }  # fmt: skip


def _throughput(report: Json, layer: Json, decoder: Json) -> dict[str, Any]:
    """What the slider scales, and the cycles by state of the largest layer's runs."""
    cycles = layer["cycles"]
    placed = decoder["fpga"][0] if decoder["fpga"] else None
    seeds = list(placed["fmax"].values()) if placed else []
    of_seeds = f"{min(seeds):.1f} to {max(seeds):.1f} MHz on {placed['device']}" if placed and seeds else ""
    config = decoder["config"]
    mhz = placed["fmax_mhz"] if placed else 100.0
    per_cycle = layer["n_stored"] / cycles["decode"]
    return {
        "mhz": round(mhz, 1),
        "most": max(500, round(2 * mhz)),
        "range": of_seeds,
        "how": "not placed: 100 MHz for a start" if not placed else placed["how"]["fmax"],
        "per_cycle": per_cycle,
        "per_cycle_all": layer["n_stored"] / cycles["total"],
        "cycles": cycles,
        "in": layer["bytes"] / cycles["total"],
        "out": per_cycle * config["value_bits"] / 8,
        "runs": _runs(report) if layer["name"] == report["layer"] else [],
    }


def _runs(report: Json) -> list[dict[str, Any]]:
    """Cycles by state under each pattern of stalls."""
    runs = [run for run in report["runs"].values() if run["kind"] == "stall"]
    longest = max((run["cycles_rtl_sim"] for run in runs), default=1)
    return [
        {
            "stall": run["stall"], "what": WHAT_STALLS.get(run["stall"], ""), "cycles": run["cycles_rtl_sim"],
            "rate": run["weights_per_cycle"], "equal": run["cycles_rtl_sim"] == run["cycles_cycle_model"],
            "states": [
                {"name": name, "words": words, "what": WHAT_STATES[name], "cycles": n, "share": 100 * n / longest}
                for name, words in STATES.items()
                for n in (run["states"][name],)
            ],
        }
        for run in runs
    ]  # fmt: skip


# Which parts' energy is a stage's: what a part does, by the words of study.energy.FUNCTIONS.
OF_STAGE = {
    "index": ("group counter", "masks"), "hash": ("hash",), "range": ("row numbers",),
    "banks": ("memory reads", "registers behind the banks"), "permute": ("lane permutation",), "window": ("window",),
    "align": ("codes",), "codes": (), "xor": ("XOR, and what goes beside",), "codebook": ("codebook",),
    "output": ("codes that wait, and output",),
}  # fmt: skip


def _hardware(decoder: Json) -> dict[str, Any]:
    """Data path with what each box costs, utilisation, area, parameters, files."""
    config = decoders.configure(decoder["layout"], **decoder["config"])
    entry = decoder["energy"][0] if decoder["energy"] else None
    left = by_function(msgspec.convert(entry, KnownEntry)) if entry else {}
    total = sum(high for _, high in left.values()) or 1
    boxes = []
    for stage in config.data_path.stages:
        took = [left.pop(name) for name in OF_STAGE.get(stage.name, ()) if name in left]
        pj = (sum(low for low, _ in took), sum(high for _, high in took)) if took else None
        boxes.append({
            "name": stage.name, "text": stage.text.replace("\n", " "), "registers": stage.registers, "pj": pj,
            "share": pj[1] / total if pj else None,
        })  # fmt: skip
    beside = [
        {"name": name, "pj": both, "share": both[1] / total} for name, both in left.items() if both[1] > 0
    ]
    return {
        "decoder": decoder,
        "name": config.name,
        "boxes": boxes,
        "beside": sorted(beside, key=lambda one: -one["share"]),
        "entry": entry,
        "placements": [device for one in decoder["fpga"] for device in _devices(one)],
        "memory_bits": config.on_chip_bits,
        "memory_um2": _memory_um2(config, entry) if entry else None,
        "again": f"weightless rtl --layout {decoder['layout']} "
        + " ".join(f"--{name.replace('_', '-')} {value}" for name, value in decoder["config"].items())
        + " -o decoder.v",
    }


def _memory_um2(config: DecoderConfig, entry: Json) -> float | None:
    """Area of the memories for tables, at the node and cell of the entry's reads; None where CACTI's table ends."""
    node, _, cell = entry["source"].rpartition(", ")[2].partition(" nm ")
    try:
        return sum(
            1e6
            * block.n
            * sram.area_mm2(ceil(block.rows * block.row_bits / 8), block.row_bits, int(node), cell)
            for block in config.memories
        )
    except ValueError:
        return None


CELLS = {"luts": "LUTs", "flip_flops": "flip-flops", "block_rams": "block RAMs", "multipliers": "multipliers"}


def _devices(one: Json) -> list[dict[str, Any]]:
    """Of a placement: its device and the others of that family, each with how much of it the decoder takes."""
    placed = families.DEVICES[one["device"]]
    alike = [device for device in families.DEVICES.values() if device.family == placed.family]
    found = []
    for device in sorted(alike, key=lambda device: device.name != placed.name):
        used = [
            {"name": CELLS[name], "share": share, "fits": share <= 1}
            for name, share in families.shares(one["area"], device).items()
        ]
        is_placed = device.name == placed.name
        found.append({**one, "device": device.name, "used": used, "is_placed": is_placed,
                      "estimated": one["how"]["fmax"] == ESTIMATED})  # fmt: skip
    return found


# 4. Errors, 7. energy, 8. sources.


def errors_by_step(report: Json) -> list[dict[str, Any]]:
    """Test errors with their 95 % confidence intervals (Wilson's)."""
    accuracy, rows = report["accuracy"], []
    n = accuracy["test_images"]
    for step, wrong in accuracy["wrong"].items():
        low, high = wilson(wrong, n)
        rows.append({"step": step, "wrong": wrong, "n": n, "error": wrong / n, "low": low, "high": high})
    highest = max((row["high"] for row in rows), default=0) or 1
    for row in rows:
        row |= {
            name: 100 * row[of] / highest
            for name, of in (("at", "error"), ("left", "low"), ("right", "high"))
        }
    return rows


def wilson(wrong: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share of ``n`` (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    p, square = wrong / n, z * z / n
    middle, half = p + square / 2, z * sqrt(p * (1 - p) / n + square / (4 * n))
    return max(0.0, (middle - half) / (1 + square)), (middle + half) / (1 + square)


def energies(report: Json) -> list[dict[str, Any]]:
    """By library and voltage, and by where the bits come from: bars and the winner by density."""
    found = []
    for one in report["energies"]:
        places = []
        for place in one["winners"]:
            highest = max(row["places"][place][1] for row in one["rows"])
            rows = [
                {**row, "pj": row["places"][place], "low": 100 * row["places"][place][0] / highest,
                 "high": 100 * row["places"][place][1] / highest}
                for row in one["rows"]
            ]  # fmt: skip
            name = "on chip" if place == "on_chip" else f"from {place}"
            strips = [charts.strip(winners) for winners in one["winners"][place]]
            places.append({"name": name, "rows": rows, "strips": strips})
        gates = "clock gates" if one["clock_gates"] else "no clock gates"
        found.append({"name": f"{one['library']}, {one['volts']} V, {gates}", "places": places, "of": one})
    return found


def sources(report: Json) -> dict[str, Any]:
    """How figures were got, and for what is missing the command that gets it."""
    file = as_argument(report["model"]["name"], report["file"]["path"])
    decoder = report["decoders"][report["runs"]["none"]["decoder"]]
    missing = []
    if not report["encoding"]:
        missing.append(("sizes of others, errors", f"weightless sim {file} --weights FILE"))
    if not decoder["energy"] or decoder["energy"][0]["how"] == ESTIMATED:
        missing.append(("energy, measured", f"weightless asic --for {file} --liberty FILE"))
    if not decoder["fpga"] or decoder["fpga"][0]["how"]["fmax"] == ESTIMATED:
        missing.append(("frequency and area, measured", f"weightless fpga --for {file} --seeds 3"))
    if report["accuracy"]["unknown"]:
        missing.append(("accuracy", "weightless compress"))
    return {"badges": report["how"], "missing": missing}
