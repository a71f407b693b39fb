import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest

from weightless_hw import decoders
from weightless_sim.cosim import runner
from weightless_sim.model import technology
from weightless_sim.model.technology import KnownEntry
from weightless_sim.report import write
from weightless_sim.report.markdown import to_markdown
from weightless_sim.report.summary import network_rows, summary, to_csv
from weightless_sim.shown import plain, to_json
from weightless_sim.study import energy, network, simulation, sizes, subject
from weightless_sim.study import run as study
from weightless_sim.study.result import RunKind
from weightless_sw import baselines, codec, container, inputs, layouts
from weightless_sw.baselines import Kind, Rate


def schema():
    return json.loads((Path("docs") / "report.schema.json").read_text())


def test_report_follows_its_schema(result):
    jsonschema.validate(json.loads(to_json(result)), schema())


def test_schema_refuses_a_mismatch(result):
    broken = json.loads(to_json(result))
    broken["runs"]["both"]["n_mismatches"] = 1
    with pytest.raises(jsonschema.ValidationError, match="1 is greater than the maximum of 0"):
        jsonschema.validate(broken, schema())


def test_every_run_compared_every_weight(result):
    runs = result.runs
    stored = {name: report.n_stored for name, report in result.encoding.items()}
    assert list(runs) == [RunKind.IN_TURN, *simulation.STALLS]
    assert {name: run.n_weights for name, run in runs.items()} == {
        RunKind.IN_TURN: stored["a"] + 2 * stored["b"],  # b is decoded again from what is loaded
        **dict.fromkeys(simulation.STALLS, stored["a"]),
    }
    for run in runs.values():
        assert run.cycles_rtl_sim == run.cycles_cycle_model == sum(run.states.values())
    assert runs["none"].states["stalled"] == 0 < runs["sink"].states["stalled"]
    assert {run.states["bubble"] for run in runs.values()} == {0}
    assert runs["none"].weights_per_cycle == pytest.approx(8.0, abs=0.05)  # the last beat is not full


def test_sizes_are_those_of_the_file(result):
    assert result.layer == "a"
    ribbon, ours, payload = (row for row in result.sizes if not row.lossless)
    assert (ribbon.kind, ours.kind, payload.kind) == (Kind.LAYOUT, Kind.TABLE, Kind.PAYLOAD)
    encoding = result.encoding["a"]
    assert ours.bytes == encoding.bytes == encoding.record_bytes + encoding.map_bytes
    assert payload.bytes < ours.bytes == result.table.bytes
    assert {row.name: row.bytes for row in result.sizes}["dense fp32"] == 4 * 2400


def test_sizes_have_every_layout_with_what_decodes_it(result):
    """As the table of layouts has them; the file's own last."""
    in_layouts = {row.layout: row for row in result.layouts if row.layer == "a"}
    ours = [row for row in result.sizes if row.kind in (Kind.LAYOUT, Kind.TABLE)]
    assert [row.name for row in ours] == [
        "Weightless ribbon, t = 8",
        "Weightless bitmask, t = 4",
        "Weightless classic, t = 8",
    ]
    assert [row.decoder for row in ours] == [Rate.CONSTANT, Rate.WORDS, Rate.CONSTANT]
    for row in ours:
        one = in_layouts[row.name.split()[1].rstrip(",")]
        assert (row.bytes, row.n_false_positives) == (one.bytes, one.n_false_positives)
    (coded,) = (row for row in result.sizes if row.kind == Kind.CODED)
    assert (coded.bytes, coded.decoder) == (in_layouts["coded record"].bytes, Rate.SERIAL)


def test_a_row_for_each_tensor_and_totals(result, small_model):
    """The small model: two tables on one decoder, and an array that stays raw."""
    arrays = inputs.load_tensors(str(small_model))
    a, b, c = result.model.layers
    assert [one.name for one in result.model.layers] == list(arrays)
    assert [one.stored_as for one in (a, b, c)] == ["classic", "classic", "raw"]
    for one, n_nonzero in ((a, 200), (b, 40)):
        report, first = (
            result.encoding[one.name],
            result.runs[RunKind.IN_TURN].transfers["ab".index(one.name)],
        )
        assert (one.n_weights, one.n_nonzero) == (arrays[one.name].size, n_nonzero)
        assert one.density == n_nonzero / one.n_weights
        assert (one.bytes, one.n_false_positives) == (report.bytes, report.n_false_positives)
        assert one.bits_per_weight == 8 * one.bytes / one.n_weights
        assert one.false_positives_per_nonzero == report.n_false_positives / n_nonzero
        assert (one.cycles.load, one.cycles.decode) == (first.load_cycles, first.decode_cycles)
        assert (
            one.cycles.total == one.cycles.load + one.cycles.decode + first.first_valid - first.last_word - 1
        )
        assert one.memory.bits_used == 3 * one.memory.rows_used * 64 <= one.memory.bits_built
        exact = {size.name: size.bytes for size in baselines.exact_sizes(arrays[one.name])}
        found = {name: rival.bytes for name, rival in one.rivals.items()}
        assert found == found | exact
        assert one.energy.pj[0] == pytest.approx(
            sum(low for low, _ in one.energy.parts.values()), rel=0.01
        ) or (one.energy.how == "estimated")
    assert a.memory.rows_used == a.memory.rows_built > b.memory.rows_used
    assert (c.bytes, c.decoder, c.cycles, c.energy, c.rivals) == (24, None, None, None, {})
    whole = result.model.totals
    assert (whole.bytes, whole.n_weights, whole.n_nonzero) == (result.file.bytes, 2803, 242)
    assert whole.cycles == a.cycles.total + b.cycles.total
    assert whole.n_false_positives == a.n_false_positives + b.n_false_positives
    assert whole.on_chip_bits == a.memory.bits_built == b.memory.bits_built
    assert (
        whole.rivals["CSR, fixed width"]
        == a.rivals["CSR, fixed width"].bytes + b.rivals["CSR, fixed width"].bytes + 24
    )
    assert set(whole.rivals) == set(a.rivals) == set(b.rivals)
    assert whole.energy == tuple(x + y for x, y in zip(a.energy.pj, b.energy.pj, strict=True))


def test_a_streamed_layers_energy_is_at_its_own_density():
    """What was measured at 11 % is no figure of a layer of 4 %; a stored table's is the same at any."""
    ribbon = next(
        one for one in technology.shipped() if one.decoder == "ribbon_g8_t8_k4_v16_h1_w" and one.clock_gates
    )
    known = KnownEntry(**vars(ribbon), pj_per_weight_settled=1.0, pj_per_weight_glitches=2.0)
    config = decoders.configure("ribbon", max_codes=4)
    assert network.at_density(known, config, ribbon.density) is known
    assert network.at_density(known, config, None) is known
    low, high = (network.at_density(known, config, density) for density in (0.04, 0.4))
    assert (low.how, low.library) == ("estimated", known.library)
    assert low.pj_per_weight_glitches < high.pj_per_weight_glitches
    assert network.at_density(known, decoders.configure("classic"), 0.04) is known


def test_nothing_is_encoded_twice(small_model, step, tmp_path, monkeypatch, need):
    """A layer in a layout at a width and first seed: once in the whole study."""
    need(runner.missing("icarus"))
    seen, real = [], codec.encode

    def encode(array, **options):
        seen.append(
            (
                options.get("name") or array.shape,
                *(options.get(key) for key in ("layout", "slot_bits", "first_seed")),
            )
        )
        return real(array, **options)

    for module in (subject, sizes, energy):
        if hasattr(module, "codec"):
            monkeypatch.setattr(module.codec, "encode", encode)
    study.run(
        study.Options(model=str(small_model), beside="classic", build=tmp_path, simulator="icarus"), step
    )
    assert len(seen) == len(set(seen)) > 8


def test_the_network_as_csv(result):
    rows = list(csv.DictReader(io.StringIO(to_csv(plain(result.model)))))
    assert [row["name"] for row in rows] == ["a", "b", "c", "all"]
    whole = result.model.totals
    assert [int(rows[-1][name]) for name in ("bytes", "cycles_total", "memory_bits_built")] == [
        whole.bytes, whole.cycles, whole.on_chip_bits
    ]  # fmt: skip
    assert int(rows[1]["bytes: coded record"]) == result.model.layers[1].rivals["coded record"].bytes
    assert rows[2]["bytes: coded record"] == rows[2]["cycles_total"] == ""
    heads, lines = network_rows(plain(result.model))
    assert all(len(line) == len(heads) for line in lines)
    assert [line[0] for line in lines] == ["a", "b", "c", "all"]


def test_layouts_stand_side_by_side(result):
    rows = {(row.layer, row.layout): row for row in result.layouts}
    assert set(rows) == {
        (layer, name) for layer in "ab" for name in ("classic", "ribbon", "bitmask", "coded record")
    }
    for layer in "ab":
        encoding = result.encoding[layer]
        classic, ribbon = rows[layer, "classic"], rows[layer, "ribbon"]
        assert classic.bytes == encoding.record_bytes + encoding.map_bytes
        assert classic.n_false_positives == encoding.n_false_positives
        assert ribbon.overhead > 1
        for exact in ("bitmask", "coded record"):
            assert rows[layer, exact].n_false_positives == 0
            assert rows[layer, exact].overhead is None
    assert (
        rows["a", "ribbon"].overhead < rows["a", "classic"].overhead
    )  # 200 keys; a block of words is much of 40


def test_the_largest_layer_beside_itself_in_another_layout(small_model, step, tmp_path, need):
    """Tables in what is smaller, by default; each decoder's first layer right after a reset; one report of all."""
    need(runner.missing("icarus"))
    asked = study.Options(model=str(small_model), beside="classic", build=tmp_path, simulator="icarus")
    result = study.run(asked, step)
    jsonschema.validate(json.loads(to_json(result)), schema())
    assert result.beside == ["a as classic"]
    by_layout = {decoder.layout: (name, decoder) for name, decoder in result.decoders.items()}
    ribbon, classic = by_layout["ribbon"], by_layout["classic"]
    assert result.first_decoder() is ribbon[1]
    assert ribbon[1].tables[0] == "a" and classic[1].tables[0] == "a as classic"
    assert ribbon[1].table.bytes < classic[1].table.bytes == result.encoding["a as classic"].bytes
    assert (ribbon[1].table_bits, classic[1].table_bits > 0) == (0, True)
    assert {row.bytes for row in result.layouts if (row.layer, row.layout) == ("a", "classic")} == {
        classic[1].table.bytes
    }
    assert [layer.name for layer in result.model.layers] == ["a", "b", "c"]
    assert result.model.totals.on_chip_bits == 1024 + classic[1].table_bits  # which b's is, too
    for name, decoder in by_layout.values():
        assert result.first_layer(name).n_beats == -(-decoder.table.n_stored // 8)
    trace = result.runs["none"].window
    assert trace and trace.cycles == sorted(trace.cycles) and len(trace.words) == len(trace.cycles) > 100
    assert (
        trace.words == sorted(trace.words)
        and trace.words[0] == 0 < trace.words[-1] < ribbon[1].table.bytes / 8
    )
    assert (tmp_path / "report" / "window.png") in write.write(result, tmp_path / "report")
    text = to_markdown(result)
    assert "## Decoders side by side" in text and "| table | a | a as classic |" in text
    (line,) = (figure for what, figure, _ in summary(result) if what == "beside it")
    assert line.startswith(f"a as classic: {classic[1].table.bytes:,} bytes, ")


def test_each_layer_of_a_file_on_the_decoder_of_its_layout(small_model, step, tmp_path, need):
    """All three in one file; then an exact one alone: no false positives to show, and every size is exact."""
    need(runner.missing("icarus"))
    array = inputs.load_tensors(str(small_model))["a"]
    names = tuple(layouts.BY_NAME)
    tensors = {name: codec.encode(array[: 8 + 4 * k], layout=name)[0] for k, name in enumerate(names)}
    container.write(tmp_path / "three.wls", tensors)
    asked = study.Options(model=str(tmp_path / "three.wls"), build=tmp_path, simulator="icarus")
    result = study.run(asked, step)
    assert {one.layout: one.tables for one in result.decoders.values()} == {name: [name] for name in names}
    assert {name for run in result.runs.values() for name in run.layers} >= set(names)
    exact = study.run(dataclasses.replace(asked, model=str(small_model), sizes={"layout": "bitmask"}), step)
    jsonschema.validate(json.loads(to_json(exact)), schema())
    assert exact.false_positives == []
    assert {row.kind for row in exact.sizes if not row.lossless} == {Kind.LAYOUT}
    assert exact.model.totals.n_false_positives == 0
    assert "none: every weight is exact" in [figure for _, figure, _ in summary(exact)]
    assert re.search(r"(Nothing exact is s|S)maller than the bitmask", to_markdown(exact))
    assert exact.runs["none"].cycles_estimated == pytest.approx(exact.runs["none"].cycles_rtl_sim, rel=0.05)


def test_what_is_beside_must_be_another_layout_of_known_weights(small_model, step, tmp_path, need):
    need(runner.missing("icarus"))
    sizes = {"layout": "classic", "lanes": 64}
    asked = study.Options(model=str(small_model), sizes=sizes, build=tmp_path, simulator="icarus")
    about = study.subject.from_arrays(str(small_model), tmp_path / "x.wls", lambda *_: None, layout="classic")
    assert (
        study.subject.beside(about, "classic", lambda *_: None).notes[-1].startswith("--beside classic: a is")
    )
    with pytest.raises(inputs.InputError, match="name its weights with --weights"):
        study.run(dataclasses.replace(asked, model=str(tmp_path / "x.wls"), sizes={}, beside="ribbon"), step)


@pytest.mark.parametrize(("sizes", "layouts", "lanes"), [
    ({"lanes": 64}, {"classic"}, 64), ({"lanes": 16, "layout": "ribbon"}, {"ribbon"}, 16),
    ({"lanes": 4}, {"ribbon", "classic"}, 4),
])  # fmt: skip
def test_lanes_are_the_decoders(small_model, step, tmp_path, sizes, layouts, lanes):
    """Whether the table fixes them or not; of layouts that have no such decoder none is taken."""
    asked = study.Options(model=str(small_model), sizes=sizes, build=tmp_path)
    configs = list(study._groups(study._subject(asked, step), asked))
    assert {config.GEOMETRY.NAME for config in configs} <= layouts
    assert {config.lanes for config in configs} == {lanes}


def test_a_failing_simulation_gives_no_report(small_model, step, tmp_path, monkeypatch, need):
    need(runner.missing("icarus"))
    monkeypatch.setattr(simulation, "Scenario", lambda **fields: SCENARIO(**fields, fault="expectation"))
    with pytest.raises(runner.SimulationError, match="mismatches"):
        study.run(study.Options(model=str(small_model), build=tmp_path, simulator="icarus"), step)


SCENARIO = simulation.Scenario


def test_options_have_the_defaults_of_the_command():
    assert dataclasses.asdict(study.Options())["model"] == "lenet300"
