"""The streaming decoder of the classic layout, in stage order (the figure in docs/hardware.md).

    index -> hash -> range -> banks -> permute -> xor with mask -> compare, codebook -> output

Terms.  A *beat* is one transfer of ``lanes`` weights.  ``en`` moves every register between the index
generator and the output buffer; when it is low they all hold.  Widths and latencies come from
``DecoderConfig``, every constant of the format from ``weightless_sw.spec``.
"""

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from weightless_hw.config import DecoderConfig
from weightless_hw.load import Loader
from weightless_sw.spec import classic as spec
from weightless_sw.spec.hash import WORD_BITS, initial_state, mix_round
from weightless_sw.spec.record import FORMAT_VERSION

WORDS = data.ArrayLayout(WORD_BITS, 3)


def beat_layout(config: DecoderConfig) -> data.StructLayout:
    """A beat: ``values`` are raw codebook entries, zero for a zero weight or a lane that is not valid.

    ``lane_valid`` is all ones but for the last beat of a layer whose size is no multiple of ``lanes``.
    """
    return data.StructLayout(
        {
            "values": data.ArrayLayout(config.value_bits, config.lanes),
            "lane_valid": config.lanes,
            "last": 1,
        }
    )


def _rotate(word: Value, k: int) -> Value:
    return word.rotate_left(k)


def _shift(word: Value, k: int) -> Value:
    return Cat(Const(0, k), word[: WORD_BITS - k])


def delayed(m: Module, en: Value, value: Value, n_stages: int, name: str) -> Value:
    """``value`` behind ``n_stages`` registers."""
    for k in range(n_stages):
        register = Signal(len(value), name=f"{name}_{k}")
        with m.If(en):
            m.d.sync += register.eq(value)
        value = register
    return value


class IndexGenerator(wiring.Component):
    """Counts the groups of a layer, one a clock, from the cycle after ``start``."""

    def __init__(self, config: DecoderConfig):
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


class HashRounds(wiring.Component):
    """``n_rounds`` rounds of the hash, ``per_stage`` of them between two registers."""

    def __init__(self, n_rounds: int, per_stage: int):
        self.n_rounds = n_rounds
        self.per_stage = per_stage
        super().__init__({"en": In(1), "i": In(WORDS), "o": Out(WORDS)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        state: tuple[Any, Any, Any] = (self.i[0], self.i[1], self.i[2])
        for k in range(1, self.n_rounds + 1):
            state = mix_round(*state, _rotate, _shift)
            if k % self.per_stage == 0 or k == self.n_rounds:
                registers = [Signal(WORD_BITS, name=f"{word}_{k}") for word in "xyz"]
                with m.If(self.en):
                    m.d.sync += [r.eq(word) for r, word in zip(registers, state, strict=True)]
                state = (registers[0], registers[1], registers[2])
        m.d.comb += [self.o[k].eq(word) for k, word in enumerate(state)]
        return m


class RangeReduction(wiring.Component):
    """row = (word * bank_rows) >> ROW_WORD_BITS, for the top ROW_WORD_BITS bits of each hash word.

    Each word goes in two halves, so that a partial product fits one 18-bit multiplier; the first
    register holds the partial products, the second their sum.
    """

    def __init__(self, config: DecoderConfig):
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

    def __init__(self, config: DecoderConfig):
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


class LanePermutation(wiring.Component):
    """Lane l of the output is lane l ^ offset of the input: a butterfly, three steps per register."""

    def __init__(self, config: DecoderConfig):
        self.config = config
        self.offset_width = config.lanes.bit_length() - 1
        super().__init__(
            {
                "en": In(1),
                "offset": In(self.offset_width),
                "i": In(config.row_bits),
                "o": Out(config.row_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        t, lanes = self.config.slot_bits, self.config.lanes
        row: Value = self.i
        offset: Value = self.offset
        for k in range(self.offset_width):
            # A signal per step: nested expressions would grow with the power of the steps.
            step = Signal(self.config.row_bits, name=f"step_{k}")
            swapped = Cat(row.word_select(lane ^ 1 << k, t) for lane in range(lanes))
            m.d.comb += step.eq(Mux(offset[k], swapped, row))
            row = step
            if k % 3 == 2 or k == self.offset_width - 1:
                row = delayed(m, self.en, row, 1, f"row_{k}")
                offset = delayed(m, self.en, offset, 1, f"offset_{k}")
        m.d.comb += self.o.eq(row)
        return m


class Codebook(wiring.Component):
    """Compare and look up, one memory per lane: ``hit`` and ``value`` are valid a cycle after ``code``."""

    def __init__(self, config: DecoderConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "n_codes": In(config.slot_bits),
                "codes": In(data.ArrayLayout(config.slot_bits, config.lanes)),
                "values": Out(data.ArrayLayout(config.value_bits, config.lanes)),
                "hits": Out(config.lanes),
                "write": In(1),
                "write_addr": In(config.code_addr_bits),
                "write_data": In(config.value_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for lane in range(self.config.lanes):
            memory = Memory(shape=self.config.value_bits, depth=1 << len(self.write_addr), init=[])
            m.submodules[f"memory_{lane}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(self.write_addr),
                write.data.eq(self.write_data),
                read.en.eq(self.en & ~self.write),
                read.addr.eq(self.codes[lane]),
                self.values[lane].eq(read.data),
            ]
            with m.If(self.en):
                m.d.sync += self.hits[lane].eq(self.codes[lane] < self.n_codes)
        return m


class OutputBuffer(wiring.Component):
    """Two entries that cut the ready path: ``i.ready`` is a register, and no beat is lost behind it."""

    def __init__(self, shape: Any):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        """``spare`` takes the beat that arrives in the cycle in which the sink stops."""
        m = Module()
        spare = Signal.like(self.i.payload)
        spare_full = Signal()
        m.d.comb += self.i.ready.eq(~spare_full)
        with m.If(self.o.ready | ~self.o.valid):
            with m.If(spare_full):
                m.d.sync += [self.o.payload.eq(spare), self.o.valid.eq(1), spare_full.eq(0)]
            with m.Else():
                m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [spare.eq(self.i.payload), spare_full.eq(1)]
        return m


REGISTER_ID = int.from_bytes(b"WLSD", "big")


class Decoder(wiring.Component):
    """The whole decoder: ``load`` takes records of 32-bit words, ``weights`` gives beats.

    Records are decoded one after another, without reset.  Throughput is one beat per clock while
    ``weights.ready`` is high; the first beat is valid ``config.fill_latency`` cycles after the last
    table row was written.  ``reg_addr`` reads constants and status (docs/hardware.md lists them).
    """

    def __init__(self, config: DecoderConfig):
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
        state = initial_state(group, loader.seed, domain, _rotate)
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
            m.submodules[f"permute_{bank}"] = permute = LanePermutation(config)
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
        registers = [
            Const(REGISTER_ID, 32),
            Const(spec.DIGEST, 32),
            Const(FORMAT_VERSION, 32),
            Const(widths, 32),
            Const(config.max_bank_rows, 32),
            Const(config.max_codes, 32),
            Cat(loader.phase, Const(0, 5), loader.error),
            Const(config.fill_latency, 32),
        ]
        m.d.comb += self.reg_data.eq(Array(registers)[self.reg_addr])
