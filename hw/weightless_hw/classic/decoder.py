"""The streaming decoder of the classic layout, in stage order (the figure in docs/hardware.md).

    index -> hash -> range -> banks -> permute -> xor with mask -> compare, codebook -> output

Terms.  A *beat* is one transfer of ``lanes`` weights.  Everything up to the output is the *pipeline*; all
its registers move together or hold together, as its enable ``en`` says.  Widths and latencies come from
``ClassicConfig``, every constant of the format from ``weightless_sw.spec``.
"""

from typing import Any

from amaranth import Cat, Const, EnableInserter, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.classic.load import Loader
from weightless_hw.parts import (
    WORD_LAYOUT,
    WORDS,
    Codebook,
    HashRounds,
    LanePermutation,
    OutputBuffer,
    beat_layout,
    delayed,
    rotate,
)
from weightless_hw.registers import ADDRESS, ADDRESS_BITS, IDENTITY, REGISTERS, SOFT_RESET, LoadError
from weightless_sw.spec import classic as spec
from weightless_sw.spec.hash import WORD_BITS, initial_state
from weightless_sw.spec.record import FORMAT_VERSION


class IndexGenerator(wiring.Component):
    """Counts the groups of a layer, one a clock, from the cycle after ``start``.

    Parameters
    ----------
    config : ClassicConfig
        The lanes.

    Attributes
    ----------
    start : unsigned(1), in
        Begins a layer of ``n_weights`` weights.
    n_weights : unsigned(32), in
        N, read while ``start`` is high.
    group : unsigned(32), out
        Number of the group.
    valid : unsigned(1), out
        Whether there is one.
    last : unsigned(1), out
        Whether it is the layer's last.
    tail_lanes : unsigned(lanes), out
        The lanes of the last group that hold weights.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "n_weights": In(32),
                "group": Out(32),
                "valid": Out(1),
                "last": Out(1),
                "tail_lanes": Out(config.lanes),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``final`` is the number of the last group; the tail is what that group holds."""
        m = Module()
        lanes_log2 = self.config.lanes.bit_length() - 1
        group, final = Signal(32, reset_less=True), Signal(32, reset_less=True)
        tail, tail_lanes = self.n_weights[:lanes_log2], Signal(self.config.lanes, reset_less=True)
        with m.If(self.start):
            m.d.sync += [
                self.valid.eq(1),
                group.eq(0),
                final.eq((self.n_weights - 1) >> lanes_log2),
                tail_lanes.eq(~(Const(~0, self.config.lanes) << tail) if lanes_log2 else 1),
            ]
            if lanes_log2:
                with m.If(tail == 0):
                    m.d.sync += tail_lanes.eq(~0)
        with m.Elif(self.valid):
            m.d.sync += [group.eq(group + 1), self.valid.eq(~self.last)]
        m.d.comb += [self.group.eq(group), self.tail_lanes.eq(tail_lanes), self.last.eq(group == final)]
        return m


class RangeReduction(wiring.Component):
    """row = (word * bank_rows) >> ROW_WORD_BITS, for the top ROW_WORD_BITS bits of each hash word.

    Parameters
    ----------
    config : ClassicConfig
        The largest bank.

    Attributes
    ----------
    words : WORDS, in
        The hash words.
    bank_rows : range(max_bank_rows + 1), in
        Rows of a bank of this layer.
    rows : ArrayLayout(row_addr_bits, N_BANKS), out
        The row of each bank, two cycles later.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "words": In(WORDS),
                "bank_rows": In(range(config.max_bank_rows + 1)),
                "rows": Out(data.ArrayLayout(config.row_addr_bits, spec.N_BANKS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Each word goes in two *halves*, so that a partial product fits one 18-bit multiplier.

        The first register holds the partial products ``low`` and ``high``, the second their sum.
        """
        m = Module()
        half = spec.ROW_WORD_BITS // 2
        for bank in range(spec.N_BANKS):
            word = self.words[bank][WORD_BITS - spec.ROW_WORD_BITS :]
            low = Signal(half + len(self.bank_rows), name=f"low_{bank}", reset_less=True)
            high = Signal.like(low, name=f"high_{bank}")
            row = Signal.like(self.rows[bank], name=f"row_{bank}", reset_less=True)
            m.d.sync += [
                low.eq(word[:half] * self.bank_rows),
                high.eq(word[half:] * self.bank_rows),
                row.eq((high + (low >> half)) >> half),
            ]
            m.d.comb += self.rows[bank].eq(row)
        return m


class Bank(wiring.Component):
    """One bank: a memory of rows, written by the loader, read by the pipeline.

    Parameters
    ----------
    config : ClassicConfig
        Rows, and their width.

    Attributes
    ----------
    en : unsigned(1), in
        Reads; ``row`` holds while it is low.
    addr : unsigned(row_addr_bits), in
        The row to read.
    row : unsigned(row_bits), out
        That row, two cycles later.
    write : unsigned(1), in
        Writes ``write_data`` into row ``write_addr``; reading waits meanwhile.
    write_addr : unsigned(row_addr_bits), in
        The row that is written.
    write_data : unsigned(row_bits), in
        What is written.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "addr": In(config.row_addr_bits),
                "row": Out(config.row_bits),
                "write": In(1),
                "write_addr": In(config.row_addr_bits),
                "write_data": In(config.row_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The memory's own output register, and one behind it for its slow clock-to-output.

        A group's row is below the layer's rows, and these are no more than there are.  What is read beside that, of an
        address that may not exist, belongs to no group and is never used.
        """
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=self.config.row_bits, depth=self.config.bank_depth, init=[], attrs={"ram_style": "block"}
        )
        write, read = memory.write_port(), memory.read_port()
        # One address and never both enables: a single-port RAM serves, and no logic for collisions.
        addr = Signal.like(self.addr)
        m.d.comb += [
            write.en.eq(self.write),
            addr.eq(Mux(self.write, self.write_addr, self.addr)),
            write.addr.eq(addr),
            write.data.eq(self.write_data),
            read.en.eq(self.en & ~self.write),
            read.addr.eq(addr),
        ]
        m.d.comb += self.row.eq(delayed(m, self.en, read.data, 1, "output"))
        return m


class Pipeline(wiring.Component):
    """From the index to the beat.

    Parameters
    ----------
    config : ClassicConfig
        Everything.

    Attributes
    ----------
    en : unsigned(1), in
        Moves every register; while it is low they all hold.
    start, n_weights : in
        Of the index generator.
    seed : unsigned(16), in
        The layer's.
    bank_rows : range(max_bank_rows + 1), in
        The layer's.
    n_codes : unsigned(slot_bits), in
        The layer's.
    codebook_write, codebook_addr, codebook_data : in
        The codebook's write port.
    bank_write : unsigned(N_BANKS), in
        One write enable per bank.
    bank_addr, bank_data : in
        The banks' write port.
    valid : unsigned(1), out
        Whether ``beat`` is one.
    beat : beat_layout(config), out
        A beat, ``fill_latency - OUTPUT_STAGES - 1`` cycles behind its group's number.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "start": In(1),
                "n_weights": In(32),
                "seed": In(16),
                "bank_rows": In(range(config.max_bank_rows + 1)),
                "n_codes": In(config.slot_bits),
                "codebook_write": In(1),
                "codebook_addr": In(config.code_addr_bits),
                "codebook_data": In(config.value_bits),
                "bank_write": In(spec.N_BANKS),
                "bank_addr": In(config.row_addr_bits),
                "bank_data": In(config.row_bits),
                "valid": Out(1),
                "beat": Out(beat_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Stages in order; ``valid``, ``last``, masks and offsets are *delayed* beside them."""
        m = Module()
        index = IndexGenerator(self.config)
        m.submodules.index = EnableInserter(self.en)(index)
        m.d.comb += [index.start.eq(self.start), index.n_weights.eq(self.n_weights)]
        words, masks = self._hash(m, index.group)
        rows = self._rows(m, words)
        m.submodules.codebook = codebook = Codebook(self.config)
        m.d.comb += [
            codebook.en.eq(self.en),
            codebook.n_codes.eq(self.n_codes),
            codebook.codes.eq(self._codes(m, rows, masks)),
            codebook.write.eq(self.codebook_write),
            codebook.write_addr.eq(self.codebook_addr),
            codebook.write_data.eq(self.codebook_data),
        ]
        self._drive_beat(m, index, codebook)
        return m

    def _hash(self, m: Module, group: Value) -> tuple[Any, Value]:
        """The address words of a group, and its masks word MASK_ROUNDS cycles after them."""
        address = HashRounds(spec.ADDRESS_ROUNDS, self.config.rounds_per_stage)
        mask = HashRounds(spec.MASK_ROUNDS, 1)  # hashed on while rows are computed
        m.submodules.address_hash = EnableInserter(self.en)(address)
        m.submodules.mask_hash = EnableInserter(self.en)(mask)
        state = initial_state(group, self.seed, Const(spec.DOMAIN, WORD_BITS), rotate)
        m.d.comb += [address.i[k].eq(word) for k, word in enumerate(state)]
        m.d.comb += mask.i.eq(address.o)
        return address.o, mask.o.as_value()

    def _rows(self, m: Module, words: Any) -> list[Value]:
        """Range, banks, permutation: the row of each bank, its lanes in order."""
        config = self.config
        reduction = RangeReduction(config)
        m.submodules.range = EnableInserter(self.en)(reduction)
        m.d.comb += [reduction.words.eq(words), reduction.bank_rows.eq(self.bank_rows)]
        rows = []
        for number in range(spec.N_BANKS):
            m.submodules[f"bank_{number}"] = bank = Bank(config)
            permute = LanePermutation(config.lanes, config.slot_bits)
            m.submodules[f"permute_{number}"] = EnableInserter(self.en)(permute)
            wait = config.RANGE_STAGES + config.BANK_STAGES
            offset = delayed(m, self.en, words[number][: permute.offset_width], wait, f"offset_{number}")
            m.d.comb += [
                bank.en.eq(self.en),
                bank.addr.eq(reduction.rows[number]),
                bank.write.eq(self.bank_write[number]),
                bank.write_addr.eq(self.bank_addr),
                bank.write_data.eq(self.bank_data),
                permute.offset.eq(offset),
                permute.i.eq(bank.row),
            ]
            rows.append(permute.o)
        return rows

    def _codes(self, m: Module, rows: list[Value], masks: Value) -> Value:
        """The three rows, and each lane's window of the masks word, XORed."""
        config = self.config
        used = masks[: config.lanes + config.slot_bits - 1]
        wait = config.RANGE_STAGES + config.BANK_STAGES + config.permute_stages - spec.MASK_ROUNDS
        used = delayed(m, self.en, used, wait, "masks")
        windows = Cat(used[lane : lane + config.slot_bits] for lane in range(config.lanes))
        return delayed(m, self.en, rows[0] ^ rows[1] ^ rows[2] ^ windows, config.XOR_STAGES, "codes")

    def _drive_beat(self, m: Module, index: IndexGenerator, codebook: Codebook) -> None:
        """Zero what is no weight; ``valid`` and ``last`` come down the pipeline beside the data."""
        config = self.config
        n_stages = config.fill_latency - 1 - config.OUTPUT_STAGES
        soon_last = delayed(m, self.en, index.last & index.valid, n_stages - 1, "last")
        lane_valid = delayed(
            m, self.en, Mux(soon_last, index.tail_lanes, ~0)[: config.lanes], 1, "lane_valid"
        )
        m.d.comb += [
            self.valid.eq(delayed(m, self.en, index.valid, n_stages, "valid", reset_less=False)),
            self.beat.last.eq(delayed(m, self.en, soon_last, 1, "last_now")),
            self.beat.lane_valid.eq(lane_valid),
        ]
        for lane in range(config.lanes):
            keep = codebook.hits[lane] & lane_valid[lane]
            m.d.comb += self.beat.values[lane].eq(Mux(keep, codebook.values[lane], 0))


class Decoder(wiring.Component):
    """The whole decoder: records in, beats out, one record after another without reset.

    Throughput is one beat per clock while ``weights.ready`` is high; the first beat is valid
    ``config.fill_latency`` cycles after the last table row was written.

    Parameters
    ----------
    config : ClassicConfig
        Everything.

    Attributes
    ----------
    load : Stream(WORD_LAYOUT), in
        A tensor's record, the words as they lie in the file, and its CRC word, which is ``last``.
    weights : Stream(beat_layout(config)), out
        Beats.
    reg_addr : unsigned(ADDRESS_BITS), in
        Which register ``reg_data`` shows, and a write goes to.
    reg_data : unsigned(32), out
        That register, in the same cycle (``weightless_hw.registers`` lists them); 0 where there is none.
    reg_write : unsigned(1), in
        Writes ``reg_write_data``.
    reg_write_data : unsigned(32), in
        What is written.
    error : unsigned(1), out
        Whether a bit of the register ``errors`` is set.
    """

    def __init__(self, config: ClassicConfig):
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

    def elaborate(self, platform: Any) -> Module:
        """The *loader* fills the pipeline's memories and starts it; the *output* buffer's ready is its enable."""
        m = Module()
        loader, output, pipeline = (
            Loader(self.config),
            OutputBuffer(beat_layout(self.config)),
            Pipeline(self.config),
        )
        soft_reset = Signal()
        for name, part in (("loader", loader), ("output", output), ("pipeline", pipeline)):
            m.submodules[name] = ResetInserter(soft_reset)(part)
        connect(m, flipped(self.load), loader.load)
        connect(m, output.o, flipped(self.weights))
        given = ("start", "n_weights", "seed", "bank_rows", "n_codes", "codebook_write", "codebook_addr",
                 "codebook_data", "bank_write", "bank_addr", "bank_data")  # fmt: skip
        m.d.comb += [getattr(pipeline, name).eq(getattr(loader, name)) for name in given]
        taken = Signal()
        m.d.comb += [
            taken.eq(self.weights.valid & self.weights.ready),
            pipeline.en.eq(output.i.ready),
            output.i.valid.eq(pipeline.valid),
            output.i.payload.eq(pipeline.beat),
            loader.finished.eq(taken & self.weights.payload.last),
        ]
        self._registers(m, loader, taken, soft_reset)
        return m

    def _registers(self, m: Module, loader: Loader, taken: Signal, soft_reset: Signal) -> None:
        """*Counts* are cleared by a reset, not by a soft one; errors stay until they are cleared."""
        config = self.config
        writes = {name: Signal(name=f"write_{name}") for name in ("errors", "control")}
        for name, write in writes.items():
            m.d.comb += write.eq(self.reg_write & (self.reg_addr == ADDRESS[name]))
        m.d.sync += soft_reset.eq(writes["control"] & self.reg_write_data[SOFT_RESET.bit_length() - 1])
        errors = Signal(len(LoadError))
        m.d.sync += errors.eq(
            errors & ~Mux(writes["errors"], self.reg_write_data[: len(errors)], 0) | loader.faults
        )
        m.d.comb += self.error.eq(errors.any())
        counts = {
            "records": loader.finished,
            "beats": taken,
            "load_stalls": self.load.valid & ~self.load.ready,
            "weights_stalls": self.weights.valid & ~self.weights.ready,
        }
        counters = {name: Signal(32, name=name) for name in counts}
        for name, event in counts.items():
            m.d.sync += counters[name].eq(counters[name] + event)
        widths = config.lanes.bit_length() - 1 | config.slot_bits << 8 | config.value_bits << 16
        values = counters | {
            "identity": Const(IDENTITY, 32),
            "digest": Const(config.GEOMETRY.layout_digest(), 32),
            "format_version": Const(FORMAT_VERSION, 32),
            "widths": Const(widths, 32),
            "table_size": Const(config.table_size, 32),
            "max_codes": Const(config.max_codes, 32),
            "fill_latency": Const(config.fill_latency, 32),
            "phase": loader.phase,
            "errors": errors,
            "n_weights": loader.n_weights,
            "n_codes": loader.n_codes,
            "scale": loader.scale,
            "record_crc": loader.record_crc,
            "control": Const(0, 32),
        }
        with m.Switch(self.reg_addr):
            for address, register in enumerate(REGISTERS):
                with m.Case(address):
                    m.d.comb += self.reg_data.eq(values[register.name])
