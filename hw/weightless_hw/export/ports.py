"""The ports of what is exported, a line each: for headers, shells, packages and docs."""

from typing import NamedTuple

from amaranth import Shape
from amaranth.lib.wiring import In

from weightless_hw.config import DecoderConfig
from weightless_hw.registers import ADDRESS_BITS
from weightless_hw.signature import DecoderSignature

WORD_BYTES = 4
AXI_ADDRESS_BITS = ADDRESS_BITS + 2  # of bytes


class Port(NamedTuple):
    """A port of the top module."""

    name: str
    direction: str  # "input" or "output"
    width: int
    text: str


def beat_bits(config: DecoderConfig) -> int:
    """Bits of the values of a beat."""
    return config.lanes * config.value_bits


def native(config: DecoderConfig) -> tuple[Port, ...]:
    """Of the decoder itself, as its signature has them."""
    signature = DecoderSignature(config)
    texts = signature.texts()
    members = [("__".join(path), member) for path, member, _ in signature.flatten(signature.create())]
    return (
        Port("clk", "input", 1, "clock"),
        Port("rst", "input", 1, "synchronous reset, high for one cycle at least"),
        *(
            Port(
                name, "input" if member.flow is In else "output", Shape.cast(member.shape).width, texts[name]
            )
            for name, member in members
        ),
    )


def axi(config: DecoderConfig) -> tuple[Port, ...]:
    """Of the decoder in its AXI shell: two AXI4-Streams and an AXI4-Lite."""
    lite = "s_axi_"
    channels = {
        "aw": [("addr", AXI_ADDRESS_BITS), ("prot", 3)],
        "w": [("data", 32), ("strb", WORD_BYTES)],
        "b": [("resp", 2)],
        "ar": [("addr", AXI_ADDRESS_BITS), ("prot", 3)],
        "r": [("data", 32), ("resp", 2)],
    }
    ports = []
    for channel, signals in channels.items():
        given, back = ("output", "input") if channel in "br" else ("input", "output")
        ports += [Port(f"{lite}{channel}{name}", given, width, "") for name, width in signals]
        ports += [Port(f"{lite}{channel}valid", given, 1, ""), Port(f"{lite}{channel}ready", back, 1, "")]
    return (
        Port("aclk", "input", 1, "clock"),
        Port("aresetn", "input", 1, "synchronous reset, low for one cycle at least"),
        Port("s_axis_tdata", "input", 32, "a word of a record, or its CRC word"),
        Port("s_axis_tlast", "input", 1, "with the CRC word"),
        Port("s_axis_tvalid", "input", 1, ""),
        Port("s_axis_tready", "output", 1, ""),
        Port("m_axis_tdata", "output", beat_bits(config), f"{config.lanes} weights, lane 0 lowest"),
        Port("m_axis_tkeep", "output", beat_bits(config) // 8, "the bytes of lanes that hold a weight"),
        Port("m_axis_tlast", "output", 1, "with the last beat of a record"),
        Port("m_axis_tvalid", "output", 1, ""),
        Port("m_axis_tready", "input", 1, ""),
        *ports,
        Port("error", "output", 1, "a bit of the register errors is set"),
    )


def template(name: str, ports: tuple[Port, ...]) -> str:
    """How the module is instantiated, each port with its direction, width and meaning."""
    longest = max(len(port.name) for port in ports)
    lines = [f"{name} u_{name} ("]
    for place, port in enumerate(ports):
        comma = " " if place + 1 == len(ports) else ","
        text = f": {port.text}" if port.text else ""
        kept = f"  .{port.name:<{longest}} ({port.name:<{longest}}){comma}"
        lines.append(f"{kept} // {port.direction} {port.width}{text}")
    return "\n".join([*lines, ");"])


def connected(ports: tuple[Port, ...], given: dict[str, str]) -> str:
    """The ports of an instance in Verilog: those that are ``given``, other inputs 0, other outputs open."""
    others = {port.name: f"{port.width}'d0" if port.direction == "input" else "" for port in ports}
    return ", ".join(f".{name}({value})" for name, value in (others | given).items())
