from pathlib import Path

from weightless_hw.registers import ADDRESS, REGISTERS, LoadError, Phase

ROOT = Path(__file__).parent.parent.parent


def test_the_page_has_the_table():
    page = (ROOT / "docs" / "hardware.md").read_text()
    rows = "".join(f"| {address} | {register.text} |\n" for address, register in enumerate(REGISTERS))
    assert "| register | content |\n|---|---|\n" + rows + "\n" in page


def test_addresses_fit_the_port():
    assert len(ADDRESS) == len(REGISTERS) <= 8


def test_the_status_word_has_room_for_phase_and_error():
    assert max(Phase) < 1 << 8
    assert [error.value for error in LoadError] == [1 << k for k in range(len(LoadError))]
    assert max(LoadError) < 1 << 24
