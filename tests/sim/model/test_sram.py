import pytest

from weightless_sim.model import sram


def test_the_tables_own_sizes_come_back():
    """CACTI's rows: 8 KB, 64 bits."""
    assert sram.read_energy_pj(8192, 64, 45, "itrs-lop") == pytest.approx(3.619)
    assert sram.read_energy_pj(8192, 64, 22, "itrs-hp") == pytest.approx(1.73, rel=0.01)
    assert sram.area_mm2(8192, 64, 45, "itrs-lop") == pytest.approx(0.0294)


def test_between_them_it_is_interpolated():
    low, high = (sram.read_energy_pj(n, 64) for n in (4096, 8192))
    assert low < sram.read_energy_pj(6000, 64) < high
    assert sram.read_energy_pj(8192, 32) < sram.read_energy_pj(8192, 48) < sram.read_energy_pj(8192, 64)


def test_narrow_rows_are_read_with_others():
    assert sram.read_energy_pj(8192, 4) == sram.read_energy_pj(8192, 8)


def test_a_write_of_the_tables_own():
    assert sram.write_energy_pj(1024, 64, 65) == pytest.approx(3.236)


def test_wide_rows_are_arrays_side_by_side():
    assert sram.read_energy_pj(16384, 512) == pytest.approx(2 * sram.read_energy_pj(8192, 256))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((512, 64), "an SRAM of 512 bytes is outside the table, 1024 to"),
        ((8192, 64, 40), "no SRAM of 40 nm, itrs-lop; there are: 22:itrs-hp"),
    ],
)
def test_outside_it_is_an_error(size, message):
    with pytest.raises(ValueError, match=message):
        sram.read_energy_pj(*size)
