"""Loading: a tensor's record, exactly as it lies in the file, becomes registers and filled memories.

The record is a stream of little-endian 32-bit words: descriptor, codebook, table (docs/format.md).
"""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.parts import Unpacker
from weightless_hw.registers import LoadError, Phase
from weightless_sw.spec import classic as spec
from weightless_sw.spec.record import DESCRIPTOR_WORDS, FLAG_RESIDENT, ValueFormat, words_for_bits


class Loader(wiring.Component):
    """Takes records from ``load``, fills codebook and banks, starts the decoding, waits for its end.

    A descriptor that this decoder can't serve stops it in ``Phase.ERROR`` with the reasons in
    ``error``, until reset: the words behind it have no known length.

    Parameters
    ----------
    config : ClassicConfig
        What the decoder can hold.

    Attributes
    ----------
    load : Stream(32), in
        The words of records.
    n_weights, bank_rows, n_codes, seed : out
        The descriptor's fields, from the end of the check on.
    codebook_write : unsigned(1), out
        Writes ``codebook_data`` into entry ``codebook_addr``.
    codebook_addr : unsigned(code_addr_bits), out
        Entry that is written.
    codebook_data : unsigned(value_bits), out
        The entry.
    bank_write : unsigned(N_BANKS), out
        Writes ``bank_data`` into row ``bank_addr`` of the bank whose bit is set.
    bank_addr : unsigned(row_addr_bits), out
        Row that is written.
    bank_data : unsigned(row_bits), out
        The row.
    start : unsigned(1), out
        High for the cycle that ends the loading; the decoding begins.
    finished : unsigned(1), in
        The layer's last beat was taken; the next record may come.
    phase : Phase, out
        What the loader is doing.
    error : LoadError, out
        Why it stopped.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "load": In(stream.Signature(32)),
                "n_weights": Out(32),
                "bank_rows": Out(range(config.max_bank_rows + 1)),
                "n_codes": Out(config.slot_bits),
                "seed": Out(16),
                "codebook_write": Out(1),
                "codebook_addr": Out(config.code_addr_bits),
                "codebook_data": Out(config.value_bits),
                "bank_write": Out(spec.N_BANKS),
                "bank_addr": Out(config.row_addr_bits),
                "bank_data": Out(config.row_bits),
                "start": Out(1),
                "finished": In(1),
                "phase": Out(Phase),
                "error": Out(LoadError),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``words`` holds the descriptor; its *fields* are named as in the specification.

        An *unpacker* per section of the record; the *phase* says which of them takes the words.  *Resident*:
        a table was loaded, and a descriptor with that flag decodes it again.
        """
        m = Module()
        config = self.config
        words = Signal(32 * DESCRIPTOR_WORDS)
        fields = self._fields(words)
        unpackers = {
            section.name: Unpacker(section.item_bits, section.n_words) for section in config.sections
        }
        for name, unpacker in unpackers.items():
            m.submodules[name] = unpacker
            m.d.comb += unpacker.i.payload.eq(self.load.payload)
        codebook, table = unpackers["codebook"], unpackers["table"]
        resident = Signal()  # a table was loaded
        n_words = Signal(range(DESCRIPTOR_WORDS))

        m.d.comb += [
            self.n_weights.eq(fields["n_weights"]),
            self.bank_rows.eq(fields["bank_rows"]),
            self.n_codes.eq(fields["n_codes"]),
            self.seed.eq(fields["seed"]),
            codebook.n_words.eq((fields["n_codes"] * config.value_bits + 31) >> 5),
            table.n_words.eq(fields["payload_words"]),
        ]
        with m.Switch(self.phase):
            with m.Case(Phase.DESCRIPTOR):
                m.d.comb += self.load.ready.eq(1)
                with m.If(self.load.valid):
                    m.d.sync += [words.eq(Cat(words[32:], self.load.payload)), n_words.eq(n_words + 1)]
                    with m.If(n_words == DESCRIPTOR_WORDS - 1):
                        m.d.sync += [n_words.eq(0), self.phase.eq(Phase.CHECK)]
            with m.Case(Phase.CHECK):
                faults = self._faults(fields, resident)
                m.d.sync += self.error.eq(Cat(faults))
                with m.If(Cat(faults).any()):
                    m.d.sync += self.phase.eq(Phase.ERROR)
                with m.Elif(fields["flags"] == FLAG_RESIDENT):
                    m.d.comb += self.start.eq(1)
                    m.d.sync += self.phase.eq(Phase.DECODE)
                with m.Else():
                    m.d.comb += codebook.start.eq(1)
                    m.d.sync += [self.phase.eq(Phase.CODEBOOK), resident.eq(0)]
            # A section after the other, as the geometry lists them; the last one starts the decoding.
            order = [(Phase.__members__[name.upper()], unpacker) for name, unpacker in unpackers.items()]
            for (phase, unpacker), following in zip(order, [*order[1:], None], strict=True):
                with m.Case(phase):
                    m.d.comb += [self.load.ready.eq(unpacker.i.ready), unpacker.i.valid.eq(self.load.valid)]
                    with m.If(unpacker.done):
                        if following:
                            m.d.comb += following[1].start.eq(1)
                            m.d.sync += self.phase.eq(following[0])
                        else:
                            m.d.comb += self.start.eq(1)
                            m.d.sync += [self.phase.eq(Phase.DECODE), resident.eq(1)]
            with m.Case(Phase.DECODE):
                with m.If(self.finished):
                    m.d.sync += self.phase.eq(Phase.DESCRIPTOR)
        self._write_codebook(m, codebook)
        self._write_banks(m, table)
        return m

    def _fields(self, words: Signal) -> dict[str, Any]:
        """The descriptor's fields by name."""
        fields, place = {}, 0
        for name, bits in self.config.GEOMETRY.FIELDS:
            fields[name] = words[place : place + bits]
            place += bits
        return fields

    def _faults(self, fields: dict[str, Any], resident: Signal) -> list[Any]:
        """One bit per :class:`LoadError`, in the order of its bits."""
        config = self.config
        formats = [f for f in ValueFormat if f.bits == config.value_bits]
        is_resident = fields["flags"] == FLAG_RESIDENT
        return [
            fields["layout"] != config.GEOMETRY.LAYOUT,
            fields["widths"] != ((config.lanes.bit_length() - 1) | (config.slot_bits - 1) << 4),
            ~Cat(fields["value_format"] == f for f in formats).any(),
            (fields["flags"] != 0) & ~is_resident,
            fields["n_weights"] == 0,
            (fields["bank_rows"] == 0)
            | (fields["bank_rows"] > config.max_bank_rows)
            | (fields["payload_words"] > words_for_bits(config.table_bits)),
            fields["n_codes"] > config.max_codes,
            is_resident & ~resident,
            fields["digest"] != config.GEOMETRY.layout_digest(),
        ]

    def _write_codebook(self, m: Module, codebook: Unpacker) -> None:
        m.d.comb += [self.codebook_write.eq(codebook.item_valid), self.codebook_data.eq(codebook.item)]
        with m.If(codebook.item_valid):
            m.d.sync += self.codebook_addr.eq(self.codebook_addr + 1)
        with m.If(codebook.start):
            m.d.sync += self.codebook_addr.eq(0)

    def _write_banks(self, m: Module, table: Unpacker) -> None:
        """Rows go to bank 0, then 1, then 2; rows past the last bank are padding and go nowhere."""
        bank = Signal(spec.N_BANKS, init=1)
        m.d.comb += [
            self.bank_write.eq(Mux(table.item_valid, bank, 0)),
            self.bank_data.eq(table.item),
        ]
        with m.If(table.item_valid):
            m.d.sync += self.bank_addr.eq(self.bank_addr + 1)
            with m.If(self.bank_addr == self.bank_rows - 1):
                m.d.sync += [self.bank_addr.eq(0), bank.eq(Cat(Const(0, 1), bank))]
        with m.If(table.start):
            m.d.sync += [self.bank_addr.eq(0), bank.eq(1)]
