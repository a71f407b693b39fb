"""A shell around a decoder that takes three pins: what is placed and routed, so that pins do not limit it.

All inputs come from a shift register, all outputs go into registers and from there through a tree of
registered XORs of four; nothing of the decoder can be left out, and no path of the shell has more than one LUT.
"""

from weightless_hw.config import DecoderConfig
from weightless_hw.export import ports
from weightless_hw.export.verilog import TOP

HARNESS = "weightless_harness"
FAN_IN = 4


def to_harness(config: DecoderConfig) -> str:
    """The shell in Verilog; the decoder's own module comes from :func:`to_verilog`."""
    listed = [port for port in ports.native(config) if port.name != "clk"]
    inputs, outputs = (
        [(port.name, port.width) for port in listed if port.direction == way] for way in ("input", "output")
    )
    n_inputs, n_outputs = (sum(width for _, width in group) for group in (inputs, outputs))
    connections = [*_slices("given", inputs), *_slices("made", outputs)]
    tree, width = [], n_outputs
    names = [f"level_0 [{width - 1}:0]"]
    tree.append("level_0 <= made;")
    level = 0
    while width > 1:
        groups = range(0, width, FAN_IN)
        terms = [f"^level_{level}[{min(place + FAN_IN, width) - 1}:{place}]" for place in groups]
        level, width = level + 1, len(groups)
        names.append(f"level_{level} [{width - 1}:0]")
        tree.append(f"level_{level} <= {{{', '.join(reversed(terms))}}};")
    declared = "\n".join(f"  reg {_width(name)};" for name in names)
    assigned = "\n".join(f"    {line}" for line in tree)
    return f"""
module {HARNESS}(input wire clk, input wire given_in, output wire made_out);
  reg [{n_inputs - 1}:0] given;
  wire [{n_outputs - 1}:0] made;
{declared}
  {TOP} decoder(.clk(clk), {", ".join(connections)});
  always @(posedge clk) begin
    given <= {{given[{n_inputs - 2}:0], given_in}};
{assigned}
  end
  assign made_out = level_{level}[0];
endmodule
"""


def _slices(bus: str, group: list[tuple[str, int]]) -> list[str]:
    """Each port's connection to the bits of ``bus`` that are its own."""
    place, result = 0, []
    for name, width in group:
        result.append(f".{name}({bus}[{place + width - 1}:{place}])")
        place += width
    return result


def _width(name: str) -> str:
    """``name [msb:lsb]`` as a declaration has it."""
    signal, width = name.split(" ")
    return f"{width} {signal}"
