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
    for name in [*markdown.PLOTS, "datapath.svg"]:
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
