"""The streaming decoder of the classic layout, in stage order (the figure in docs/hardware.md).

    index -> hash -> range -> banks -> permute -> xor with mask -> compare, codebook -> output

Terms.  A *beat* is one transfer of ``lanes`` weights.  ``en`` moves every register between the index
generator and the output buffer; when it is low they all hold.  Widths and latencies come from
``ClassicConfig``, every constant of the format from ``weightless_sw.spec``.
"""

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.classic.load import Loader
from weightless_hw.parts import (
    WORDS,
    Codebook,
    HashRounds,
    LanePermutation,
    OutputBuffer,
    beat_layout,
    delayed,
    rotate,
)
from weightless_hw.registers import IDENTITY, REGISTERS
from weightless_sw.spec import classic as spec
from weightless_sw.spec.hash import WORD_BITS, initial_state
from weightless_sw.spec.record import FORMAT_VERSION


class IndexGenerator(wiring.Component):
    """Counts the groups of a layer, one a clock, from the cycle after ``start``."""

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
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
        final = Signal(32)
        tail = self.n_weights[:lanes_log2]
        with m.If(self.start):
            m.d.sync += [
                self.valid.eq(1),
                self.group.eq(0),
                final.eq((self.n_weights - 1) >> lanes_log2),
                self.tail_lanes.eq(~(Const(~0, self.config.lanes) << tail) if lanes_log2 else 1),
            ]
            if lanes_log2:
                with m.If(tail == 0):
                    m.d.sync += self.tail_lanes.eq(~0)
        with m.Elif(self.en & self.valid):
            m.d.sync += [self.group.eq(self.group + 1), self.valid.eq(~self.last)]
        m.d.comb += self.last.eq(self.group == final)
        return m


class RangeReduction(wiring.Component):
    """row = (word * bank_rows) >> ROW_WORD_BITS, for the top ROW_WORD_BITS bits of each hash word.

    Each word goes in two halves, so that a partial product fits one 18-bit multiplier; the first
    register holds the partial products, the second their sum.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "words": In(WORDS),
                "bank_rows": In(range(config.max_bank_rows + 1)),
                "rows": Out(data.ArrayLayout(config.row_addr_bits, spec.N_BANKS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        half = spec.ROW_WORD_BITS // 2
        for bank in range(spec.N_BANKS):
            word = self.words[bank][WORD_BITS - spec.ROW_WORD_BITS :]
            low = Signal(half + len(self.bank_rows), name=f"low_{bank}")
            high = Signal.like(low, name=f"high_{bank}")
            with m.If(self.en):
                m.d.sync += [
                    low.eq(word[:half] * self.bank_rows),
                    high.eq(word[half:] * self.bank_rows),
                    self.rows[bank].eq((high + (low >> half)) >> half),
                ]
        return m


class Bank(wiring.Component):
    """One bank: a memory of rows, written by the loader, read by the pipeline; two registers behind."""

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
        m = Module()
        # A power of two, so that every address exists: simulators and synthesis agree on it.
        depth = 1 << len(self.addr)
        m.submodules.memory = memory = Memory(
            shape=self.config.row_bits, depth=depth, init=[], attrs={"ram_style": "block"}
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
        with m.If(self.en):
            m.d.sync += self.row.eq(read.data)
        return m


class Decoder(wiring.Component):
    """The whole decoder: ``load`` takes records of 32-bit words, ``weights`` gives beats.

    Records are decoded one after another, without reset.  Throughput is one beat per clock while
    ``weights.ready`` is high; the first beat is valid ``config.fill_latency`` cycles after the last
    table row was written.  ``reg_addr`` reads constants and status (docs/hardware.md lists them).
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "load": In(stream.Signature(32)),
                "weights": Out(stream.Signature(beat_layout(config))),
                "reg_addr": In(3),
                "reg_data": Out(32),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        m.submodules.loader = loader = Loader(config)
        m.submodules.index = index = IndexGenerator(config)
        m.submodules.output = output = OutputBuffer(beat_layout(config))
        en = output.i.ready
        connect(m, flipped(self.load), loader.load)
        connect(m, output.o, flipped(self.weights))
        m.d.comb += [
            index.en.eq(en),
            index.start.eq(loader.start),
            index.n_weights.eq(loader.n_weights),
            loader.finished.eq(self.weights.valid & self.weights.ready & self.weights.payload.last),
        ]
        codes = self._codes(m, en, index.group, loader)
        values, hits = self._look_up(m, en, codes, loader)
        self._drive_output(m, en, index, output, values, hits)
        self._read_registers(m, loader)
        return m

    def _codes(self, m: Module, en: Value, group: Value, loader: Loader) -> Value:
        """Hash, range, banks, permutation, XOR: the codes of a group."""
        config = self.config
        m.submodules.address_hash = address = HashRounds(spec.ADDRESS_ROUNDS, config.rounds_per_stage)
        # The masks are hashed on while rows are computed: one round more per register.
        m.submodules.mask_hash = mask = HashRounds(spec.MASK_ROUNDS, 1)
        m.submodules.range = reduction = RangeReduction(config)
        domain = Const(spec.DOMAIN, WORD_BITS)
        state = initial_state(group, loader.seed, domain, rotate)
        m.d.comb += [address.en.eq(en), mask.en.eq(en), reduction.en.eq(en)]
        m.d.comb += [address.i[k].eq(word) for k, word in enumerate(state)]
        m.d.comb += [
            mask.i.eq(address.o),
            reduction.words.eq(address.o),
            reduction.bank_rows.eq(loader.bank_rows),
        ]

        until_permute = config.RANGE_STAGES + config.BANK_STAGES
        rows = [self._bank_row(m, en, bank, reduction, loader) for bank in range(spec.N_BANKS)]
        for bank, row in enumerate(rows):
            m.submodules[f"permute_{bank}"] = permute = LanePermutation(config.lanes, config.slot_bits)
            offset = address.o[bank][: permute.offset_width]
            m.d.comb += [
                permute.en.eq(en),
                permute.offset.eq(delayed(m, en, offset, until_permute, f"offset_{bank}")),
                permute.i.eq(row),
            ]
            rows[bank] = permute.o
        masks = Value.cast(mask.o)[: config.lanes + config.slot_bits - 1]
        masks = delayed(m, en, masks, until_permute + config.permute_stages - spec.MASK_ROUNDS, "masks")
        windows = Cat(masks[lane : lane + config.slot_bits] for lane in range(config.lanes))
        return delayed(m, en, rows[0] ^ rows[1] ^ rows[2] ^ windows, config.XOR_STAGES, "codes")

    def _bank_row(
        self, m: Module, en: Value, number: int, reduction: RangeReduction, loader: Loader
    ) -> Value:
        m.submodules[f"bank_{number}"] = bank = Bank(self.config)
        m.d.comb += [
            bank.en.eq(en),
            bank.addr.eq(reduction.rows[number]),
            bank.write.eq(loader.bank_write[number]),
            bank.write_addr.eq(loader.bank_addr),
            bank.write_data.eq(loader.bank_data),
        ]
        return bank.row

    def _look_up(self, m: Module, en: Value, codes: Value, loader: Loader) -> tuple[Any, Value]:
        m.submodules.codebook = codebook = Codebook(self.config)
        m.d.comb += [
            codebook.en.eq(en),
            codebook.n_codes.eq(loader.n_codes),
            codebook.codes.eq(codes),
            codebook.write.eq(loader.codebook_write),
            codebook.write_addr.eq(loader.codebook_addr),
            codebook.write_data.eq(loader.codebook_data),
        ]
        return codebook.values, codebook.hits

    def _drive_output(
        self, m: Module, en: Value, index: IndexGenerator, output: OutputBuffer, values: Any, hits: Value
    ) -> None:
        """Zero what is no weight; ``valid`` and ``last`` come down the pipeline beside the data."""
        config = self.config
        n_stages = config.fill_latency - 1 - config.OUTPUT_STAGES
        valid = delayed(m, en, index.valid, n_stages, "valid")
        soon_last = delayed(m, en, index.last & index.valid, n_stages - 1, "last")
        last = delayed(m, en, soon_last, 1, "last_now")
        lane_valid = delayed(m, en, Mux(soon_last, index.tail_lanes, ~0)[: config.lanes], 1, "lane_valid")
        payload = output.i.payload
        m.d.comb += [
            output.i.valid.eq(valid),
            payload.last.eq(last),
            payload.lane_valid.eq(lane_valid),
        ]
        for lane in range(config.lanes):
            keep = hits[lane] & lane_valid[lane]
            m.d.comb += payload.values[lane].eq(Mux(keep, values[lane], 0))

    def _read_registers(self, m: Module, loader: Loader) -> None:
        config = self.config
        widths = config.lanes.bit_length() - 1 | config.slot_bits << 8 | config.value_bits << 16
        values = {
            "identity": Const(IDENTITY, 32),
            "digest": Const(spec.DIGEST, 32),
            "format_version": Const(FORMAT_VERSION, 32),
            "widths": Const(widths, 32),
            "table_size": Const(config.max_bank_rows, 32),
            "max_codes": Const(config.max_codes, 32),
            "status": Cat(loader.phase, Const(0, 5), loader.error),
            "fill_latency": Const(config.fill_latency, 32),
        }
        m.d.comb += self.reg_data.eq(Array(values[name] for name, _ in REGISTERS)[self.reg_addr])
