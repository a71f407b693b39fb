"""A decoder's ports, once: what a component is made of, and the text of each."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weightless_hw.config import DecoderConfig
from weightless_hw.parts.beats import beat_layout
from weightless_hw.registers import ADDRESS_BITS

WORD_LAYOUT = data.StructLayout({"data": 32, "last": 1})  # of a record, on its way in


class DecoderSignature(wiring.Signature):
    """The ports of every decoder, as one that is made for ``config`` has them.

    ``load`` takes records, each followed by its CRC word, which is ``last``; ``weights`` gives beats; ``reg_addr``
    names the register that ``reg_data`` shows in the same cycle, 0 where there is none, and that is written with
    ``reg_write_data`` while ``reg_write`` is high; ``error`` says whether a bit of the register ``errors`` is set.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        super().__init__(
            {
                "load": In(stream.Signature(WORD_LAYOUT)),
                "weights": Out(stream.Signature(beat_layout(config))),
                "reg_addr": In(ADDRESS_BITS),
                "reg_data": Out(32),
                "reg_write": In(1),
                "reg_write_data": In(32),
                "error": Out(1),
            }
        )

    def texts(self) -> dict[str, str]:
        """By the port's name in Verilog: what it is."""
        lanes, bits = self.config.lanes, self.config.value_bits
        return {
            "load__payload": "a word of a record; bit 32: last, with its CRC word",
            "load__valid": "a word is offered",
            "load__ready": "it is taken",
            "weights__payload": f"a beat: {lanes} x {bits} bits of values, {lanes} lane valid, last",
            "weights__valid": "a beat is offered",
            "weights__ready": "it is taken",
            "reg_addr": "number of a register",
            "reg_data": "its content, in the same cycle",
            "reg_write": "write the register",
            "reg_write_data": "what is written",
            "error": "a bit of the register errors is set",
        }
