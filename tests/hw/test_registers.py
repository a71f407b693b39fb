import shutil
import subprocess
from pathlib import Path

from weightless_hw import registers
from weightless_hw.registers import ADDRESS, ADDRESS_BITS, REGISTERS, LoadError, Phase

ROOT = Path(__file__).parent.parent.parent


def test_the_page_has_the_tables():
    page = (ROOT / "docs" / "hardware.md").read_text()
    assert registers.table() + "\n" in page
    assert registers.error_table() + "\n" in page


def test_addresses_fit_the_port():
    assert len(ADDRESS) == len(REGISTERS) <= 1 << ADDRESS_BITS


def test_phases_and_errors_are_bits_of_a_word():
    assert len(Phase) <= 8
    assert [error.value for error in LoadError] == [1 << k for k in range(len(LoadError))]
    assert max(LoadError) < 1 << 32
    assert list(registers.WHY) == list(LoadError)


def test_the_header_says_the_same_to_c(tmp_path, need):
    """Compiled and run: every address and every bit."""
    need("" if shutil.which("g++") else "g++ is not installed: apt-get install g++")
    (tmp_path / "weightless.h").write_text(registers.c_header())
    values = {f"WEIGHTLESS_REG_{name.upper()}": address for name, address in ADDRESS.items()}
    values |= {f"WEIGHTLESS_ERROR_{error.name}": error.value for error in LoadError}
    values |= {f"WEIGHTLESS_PHASE_{phase.name}": phase.value for phase in Phase}
    values["WEIGHTLESS_CONTROL_SOFT_RESET"] = registers.SOFT_RESET
    values["WEIGHTLESS_IS"] = registers.IDENTITY
    checks = "".join(f'static_assert({name} == {value}u, "{name}");\n' for name, value in values.items())
    source = f'#include "weightless.h"\n#include "weightless.h"\n{checks}'
    (tmp_path / "x.cpp").write_text(source)
    command = ["g++", "-fsyntax-only", "-Wall", "-Werror", "x.cpp"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
