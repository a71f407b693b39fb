import os

from weightless_sim import tools


def test_the_environment_is_ours_and_is_given_back(monkeypatch):
    theirs = {"VERILATOR_ROOT": "/usr/share/verilator", "MAKEFLAGS": "-j9", "PYTHONOPTIMIZE": "1",
              "COCOTB_RESULTS_FILE": "x", "TESTCASE": "none"}  # fmt: skip
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    ours = tools.environment()
    assert not {"VERILATOR_ROOT", "PYTHONOPTIMIZE", "COCOTB_RESULTS_FILE", "TESTCASE"} & ours.keys()
    assert ours["MAKEFLAGS"] != "-j9"
    with tools.our_environment():
        assert dict(os.environ) == ours
    assert dict(os.environ) == before
