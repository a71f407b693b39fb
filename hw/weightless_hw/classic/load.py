"""Loading: a tensor's record, exactly as it lies in the file, becomes registers and filled memories.

The record is a stream of little-endian 32-bit words: descriptor, codebook, table (docs/format.md); behind it comes
its CRC word, with ``last``.
"""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.parts import WORD_LAYOUT, Unpacker
from weightless_hw.registers import LoadError, Phase
from weightless_sw.spec import classic as spec
from weightless_sw.spec.record import DESCRIPTOR_WORDS, FLAG_RESIDENT, ValueFormat


class Loader(wiring.Component):
    """Takes records from ``load``, fills codebook and banks, starts the decoding, waits for its end.

    A record that this decoder can't serve, one that is too short or too long, and one whose CRC is wrong, is
    drained up to ``last`` and not decoded; ``faults`` says why, for a cycle, and the next record is served.

    Parameters
    ----------
    config : ClassicConfig
        What the decoder can hold.

    Attributes
    ----------
    load : Stream(WORD_LAYOUT), in
        The words of records, each record followed by its CRC word, which is ``last``.
    n_weights, bank_rows, n_codes, seed, scale : out
        The descriptor's fields, from the end of the check on.
    record_crc : unsigned(32), out
        The CRC word of the record, once it came.
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
    faults : LoadError, out
        Why a record is refused, in the cycle in which it is.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "load": In(stream.Signature(WORD_LAYOUT)),
                "n_weights": Out(32),
                "bank_rows": Out(range(config.max_bank_rows + 1)),
                "n_codes": Out(config.slot_bits),
                "seed": Out(16),
                "scale": Out(32),
                "record_crc": Out(32),
                "codebook_write": Out(1),
                "codebook_addr": Out(config.code_addr_bits),
                "codebook_data": Out(config.value_bits),
                "bank_write": Out(spec.N_BANKS),
                "bank_addr": Out(config.row_addr_bits),
                "bank_data": Out(config.row_bits),
                "start": Out(1),
                "finished": In(1),
                "phase": Out(Phase),
                "faults": Out(LoadError),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``words`` holds the descriptor; its *fields* are named as in the specification.

        An *unpacker* per section of the record; the *phase* says which of them takes the words.  *Resident*: the
        tables are those of a whole record, and a descriptor with that flag decodes them again; *loaded* is what that
        record's descriptor said, since others may have come and been refused.  *Awake*: from the second cycle after a
        reset on; nothing is taken before.  *Settled*: the second cycle of a comparison, when a register holds what came
        of it; the comparisons are the longest paths here.
        """
        m = Module()
        config = self.config
        words = Signal(32 * DESCRIPTOR_WORDS, reset_less=True)
        fields = self._fields(words)
        unpackers = {
            section.name: Unpacker(section.item_bits, section.n_words) for section in config.sections
        }
        for name, unpacker in unpackers.items():
            m.submodules[name] = unpacker
            m.d.comb += unpacker.i.payload.eq(self.load.payload.data)
        codebook, table = unpackers["codebook"], unpackers["table"]
        resident, awake, taken, settled = Signal(), Signal(), Signal(), Signal()
        n_words = Signal(range(DESCRIPTOR_WORDS))
        crc_is_right = self._crc(m, taken, n_words)
        refused = Signal(len(LoadError), reset_less=True)
        loaded = {
            name: Signal(len(value), name=f"loaded_{name}", reset_less=True)
            for name, value in self._layer(fields).items()
        }
        faults = self._faults(fields, resident, loaded)

        m.d.sync += [awake.eq(1), settled.eq(0), refused.eq(Cat(faults.get(error, 0) for error in LoadError))]
        m.d.comb += [
            self.n_weights.eq(fields["n_weights"]),
            self.bank_rows.eq(fields["bank_rows"]),
            self.n_codes.eq(fields["n_codes"]),
            self.seed.eq(fields["seed"]),
            self.scale.eq(fields["scale"]),
            codebook.n_words.eq((fields["n_codes"] * config.value_bits + 31) >> 5),
            table.n_words.eq(fields["payload_words"]),
            taken.eq(self.load.valid & self.load.ready),
        ]
        with m.Switch(self.phase):
            with m.Case(Phase.DESCRIPTOR):
                m.d.comb += self.load.ready.eq(awake)
                with m.If(taken):
                    m.d.sync += [words.eq(Cat(words[32:], self.load.payload.data)), n_words.eq(n_words + 1)]
                    with m.If(n_words == DESCRIPTOR_WORDS - 1):
                        m.d.sync += [n_words.eq(0), self.phase.eq(Phase.CHECK), self.record_crc.eq(0)]
            with m.Case(Phase.CHECK):
                with m.If(~settled):
                    m.d.sync += settled.eq(1)
                with m.Elif(refused.any()):
                    m.d.comb += self.faults.eq(refused)
                    m.d.sync += self.phase.eq(Phase.DRAIN)
                with m.Elif(fields["flags"] == FLAG_RESIDENT):
                    m.d.sync += self.phase.eq(Phase.CRC)
                with m.Else():
                    m.d.comb += codebook.start.eq(1)
                    m.d.sync += [self.phase.eq(Phase.CODEBOOK), resident.eq(0)]
                    m.d.sync += [loaded[name].eq(value) for name, value in self._layer(fields).items()]
            # A section after the other, as the geometry lists them; then the CRC word.
            order = [(Phase.__members__[name.upper()], unpacker) for name, unpacker in unpackers.items()]
            for (phase, unpacker), following in zip(order, [*order[1:], None], strict=True):
                with m.Case(phase):
                    m.d.comb += [self.load.ready.eq(unpacker.i.ready), unpacker.i.valid.eq(self.load.valid)]
                    with m.If(unpacker.done):
                        if following:
                            m.d.comb += following[1].start.eq(1)
                        m.d.sync += self.phase.eq(following[0] if following else Phase.CRC)
            with m.Case(Phase.CRC):
                m.d.comb += self.load.ready.eq(1)
                with m.If(taken):
                    m.d.sync += self.record_crc.eq(self.load.payload.data)
                    with m.If(~self.load.payload.last):
                        m.d.comb += self.faults.eq(LoadError.LONG)
                        m.d.sync += self.phase.eq(Phase.DRAIN)
                    with m.Else():
                        m.d.sync += self.phase.eq(Phase.VERIFY)
            with m.Case(Phase.VERIFY):
                with m.If(~settled):
                    m.d.sync += settled.eq(1)
                with m.Elif(crc_is_right):
                    m.d.comb += self.start.eq(1)
                    m.d.sync += [self.phase.eq(Phase.DECODE), resident.eq(1)]
                with m.Else():
                    m.d.comb += self.faults.eq(LoadError.CRC)
                    m.d.sync += self.phase.eq(Phase.DESCRIPTOR)
            with m.Case(Phase.DECODE):
                with m.If(self.finished):
                    m.d.sync += self.phase.eq(Phase.DESCRIPTOR)
            with m.Case(Phase.DRAIN):
                m.d.comb += self.load.ready.eq(1)
                with m.If(taken & self.load.payload.last):
                    m.d.sync += self.phase.eq(Phase.DESCRIPTOR)
        # A record that ends before its CRC word; of a refused one the end is what is waited for.
        before_crc = (self.phase != Phase.CRC) & (self.phase != Phase.DRAIN)
        with m.If(taken & self.load.payload.last & before_crc):
            m.d.comb += self.faults.eq(LoadError.SHORT)
            m.d.sync += [self.phase.eq(Phase.DESCRIPTOR), n_words.eq(0)]
        self._write_codebook(m, codebook)
        self._write_banks(m, table)
        return m

    def _crc(self, m: Module, taken: Signal, n_words: Signal) -> Signal:
        """Whether the CRC word is that of the words before it, known two cycles after it came.

        The words wait in a register first: their way from outside is long enough.
        """
        m.submodules.crc = crc = catalog.CRC32_ISO_HDLC(data_width=32).create()
        is_right, word = Signal(reset_less=True), Signal(32, reset_less=True)
        m.d.comb += crc.data.eq(word)
        m.d.sync += [
            word.eq(self.load.payload.data),
            crc.valid.eq(taken & (self.phase != Phase.CRC)),
            crc.start.eq((self.phase == Phase.DESCRIPTOR) & (n_words == 0)),
            is_right.eq(self.record_crc == crc.crc),
        ]
        return is_right

    def _fields(self, words: Signal) -> dict[str, Any]:
        """The descriptor's fields by name."""
        fields, place = {}, 0
        for name, bits in self.config.GEOMETRY.FIELDS:
            fields[name] = words[place : place + bits]
            place += bits
        return fields

    def _layer(self, fields: dict[str, Any]) -> dict[str, Value]:
        """What a resident record must have in common with the one that loaded the tables, as far as it can differ."""
        return {
            "value_format": fields["value_format"][: max(ValueFormat).bit_length()],
            "n_weights": fields["n_weights"],
            "bank_rows": self.bank_rows,
            "n_codes": self.n_codes,
            "seed": fields["seed"],
            "scale": fields["scale"],
        }

    def _faults(
        self, fields: dict[str, Any], resident: Signal, loaded: dict[str, Signal]
    ) -> dict[LoadError, Any]:
        """What a descriptor is refused for."""
        config = self.config
        formats = [f for f in ValueFormat if f.bits == config.value_bits]
        is_resident = fields["flags"] == FLAG_RESIDENT
        differs = Cat(value != loaded[name] for name, value in self._layer(fields).items()).any()
        payload_words = (_times(self.bank_rows, spec.N_BANKS * config.row_bits) + 31) >> 5
        return {
            LoadError.LAYOUT: fields["layout"] != config.GEOMETRY.LAYOUT,
            LoadError.WIDTHS: fields["widths"]
            != ((config.lanes.bit_length() - 1) | (config.slot_bits - 1) << 4),
            LoadError.VALUE_FORMAT: ~Cat(fields["value_format"] == f for f in formats).any(),
            LoadError.FLAGS: (fields["flags"] != 0) & ~is_resident,
            LoadError.N_WEIGHTS: fields["n_weights"] == 0,
            LoadError.BANK_ROWS: (fields["bank_rows"] == 0) | (fields["bank_rows"] > config.max_bank_rows),
            LoadError.N_CODES: fields["n_codes"] > config.max_codes,
            LoadError.NOT_RESIDENT: is_resident & ~resident,
            LoadError.DIGEST: fields["digest"] != config.GEOMETRY.layout_digest(),
            LoadError.PAYLOAD_WORDS: fields["payload_words"] != payload_words,
            LoadError.RESIDENT_MISMATCH: is_resident & resident & differs,
        }

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


def _times(value: Value, factor: int) -> Value:
    """The product with a constant, of adders: synthesis would spend a multiplier on it."""
    places = [k for k in range(factor.bit_length()) if factor >> k & 1]
    return sum((value << k for k in places[1:]), value << places[0])
