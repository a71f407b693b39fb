import json

from weightless_sim.report import markdown


def test_files_and_summary(result, tmp_path):
    paths = markdown.write(result, tmp_path)
    assert {path.name for path in paths} == {
        "report.md", "report.json", "sizes.png", "false_positives.png", "throughput.png", "datapath.svg",
    }  # fmt: skip
    for path in paths:
        assert path.stat().st_size > 500
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
    text = paths[0].read_text()
    assert not result["energy"]  # no entry for this small decoder
    for name in [*(set(markdown.PLOTS) - {"energy.png", "parts.png"}), "datapath.svg"]:
        assert f"]({name})" in text
    lines = dict(markdown.summary(result))
    n_stored, n_all = (result["runs"][name]["n_weights"] for name in ("none", "in turn"))
    assert lines["RTL against golden model"].startswith(
        f"0 mismatches in {n_stored:,} stored weights of a; 0 in {n_all + 5 * n_stored:,} of all 6 runs"
    )
    assert "equal in all 6 runs" in lines["cycles"]


def test_summary_says_when_cycles_differ(result):
    broken = json.loads(json.dumps(result))
    broken["runs"]["sink"]["cycles_cycle_model"] += 1
    assert "NOT EQUAL" in dict(markdown.summary(broken))["cycles"]


def test_energy_is_said_to_be_unknown_or_where_it_is_from(result):
    assert "run `weightless asic`" in dict(markdown.summary(result))["energy"]
    told = json.loads(json.dumps(result))
    entry = {
        "library": "x", "volts": 1.1, "clock_ghz": 1.0, "clock_gates": False, "logic_settled_pj": 8.0,
        "logic_glitches_pj": 16.0, "memory_pj": 8.0, "pj_per_weight_settled": 2.0, "pj_per_weight_glitches": 3.0,
        "area_um2": 9.0, "how": "gate_sim", "origin": "shipped", "accuracy": "no clock tree", "older_decoder": True,
    }  # fmt: skip
    next(iter(told["decoders"].values()))["energy"] = [entry]
    assert dict(markdown.summary(told))["on an FPGA"] == "not placed: run `weightless fpga`"
    placed = {"weights_per_second": 8e8, "fmax_mhz": 100.0, "device": "d", "how": {"fmax": "place_and_route"},
              "origin": "shipped", "older_decoder": False}  # fmt: skip
    next(iter(told["decoders"].values()))["fpga"] = [placed]
    line = dict(markdown.summary(told))["on an FPGA"]
    assert line.startswith("800 M weights/s at 100.0 MHz, ")
    assert line.endswith(" M with loading (d, place_and_route, shipped)")
    line = dict(markdown.summary(told))["energy"]
    assert (
        line
        == "2.0 to 3.0 pJ per weight, 23 to 34 per non-zero (x 1.1 V, gate_sim, shipped, of an older decoder)"
    )
    assert (
        "| 2.00 to 3.00 | 9 | gate_sim | shipped, of an older decoder | no clock tree |"
        in markdown.to_markdown(told)
    )


def test_energy_beside_others(result, tmp_path):
    told = json.loads(json.dumps(result))
    rows = [
        {
            "name": name,
            "on_chip": [low, high],
            "HBM2": [9.0, 9.0],
            "LPDDR4": [20.0, 30.0],
            "how": "h",
            "counts": "c",
        }
        for name, low, high in (("table", 40.0, 50.0), ("dense int8", 3.25, 3.25))
    ]
    for crossing, words in (([0.2, 0.3], "from 20.0% to 30.0% density on"), ([0.2, None], "from 20.0% on"),
                            ([None, None], "at no density")):  # fmt: skip
        told["energy"] = {"rows": rows, "crossing_density": crossing}
        text = markdown.to_markdown(told)
        assert "| table | 40 to 50 | 9.0 | 20 to 30 | h | c |" in text
        assert "| dense int8 | 3.2 |" in text
        assert words in text
    first = next(iter(told["decoders"].values()))
    first["energy"] = [
        {
            "parts": {"hash": [3.0, 4.0], "loader": [0.0, 0.0]}, "memory_pj": 2.0, "leakage_pj": 0.1, "lanes": 8,
            "library": "x", "volts": 1.1, "clock_ghz": 1.0, "clock_gates": False, "logic_settled_pj": 3.0,
            "logic_glitches_pj": 4.0, "pj_per_weight_settled": 0.6, "pj_per_weight_glitches": 0.8, "area_um2": 9.0,
            "how": "gate_sim", "origin": "shipped", "accuracy": "no clock tree", "older_decoder": False,
        }
    ]  # fmt: skip
    paths = markdown.write(told, tmp_path)
    assert {tmp_path / "energy.png", tmp_path / "parts.png"} <= set(paths)
    markdown.write(result, tmp_path)
    assert not (tmp_path / "energy.png").exists()
