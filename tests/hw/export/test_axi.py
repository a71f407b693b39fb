import re

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export import ports
from weightless_hw.export.verilog import to_verilog

CONFIG = ClassicConfig(lanes=4, max_bank_rows=64)


def test_every_port_of_an_interface_says_which():
    """As Vivado reads them: the attribute stands before the port's declaration."""
    text = to_verilog(CONFIG, "shell", axi=True)
    before = r'X_INTERFACE_INFO = "([^"]+)" \*\)\n(?:  \(\*.*\n)*'
    said = re.findall(before + r"  (?:in|out)put (?:\[\d+:0\] )?(\w+);", text)
    by_port = {port: info for info, port in said}
    assert by_port.keys() == {port.name for port in ports.axi(CONFIG)} - {"error"}
    assert by_port["m_axis_tkeep"] == "xilinx.com:interface:axis:1.0 m_axis TKEEP"
    assert by_port["s_axi_awaddr"] == "xilinx.com:interface:aximm:1.0 s_axi AWADDR"
    assert by_port["aclk"] == "xilinx.com:signal:clock:1.0 aclk CLK"
    assert "ASSOCIATED_BUSIF s_axis:m_axis:s_axi, ASSOCIATED_RESET aresetn" in text
    assert "POLARITY ACTIVE_LOW" in text


def test_a_beat_is_a_power_of_two_of_bytes():
    for value_bits in (8, 16):
        for lanes in (1, 2, 64):
            listed = ports.axi(ClassicConfig(lanes=lanes, value_bits=value_bits))
            widths = {port.name: port.width for port in listed}
            assert widths["m_axis_tdata"] == lanes * value_bits == 8 * widths["m_axis_tkeep"]
            assert widths["m_axis_tkeep"].bit_count() == 1
