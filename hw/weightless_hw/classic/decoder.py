"""The streaming decoder of the classic layout, in stage order (the figure in docs/hardware.md).

    index -> hash -> range -> banks -> permute -> xor with mask -> compare, codebook -> output

Terms.  A *beat* is one transfer of ``lanes`` weights.  Everything up to the XOR is the *pipeline*; all
its registers move together or hold together, as its enable ``en`` says.  Widths and latencies come from
``ClassicConfig``, every constant of the format from ``weightless_sw.spec``.
"""

from typing import Any

from amaranth import Const, EnableInserter, Module, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.classic.load import BankLoader, own_faults
from weightless_hw.classic.stages import Bank, LanePermutation, RangeReduction, row_layout
from weightless_hw.classic.tiles import RunCounter
from weightless_hw.frame import FrameReader, descriptor_layout
from weightless_hw.parts.beats import BeatCounter, delayed
from weightless_hw.parts.codes import CodeStage, slots_layout
from weightless_hw.parts.hash import HashRounds, rotate
from weightless_hw.register_file import RegisterFile
from weightless_hw.signature import DecoderSignature
from weightless_sw.spec import classic as spec
from weightless_sw.spec.hash import WORD_BITS, initial_state


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
    start : unsigned(1), in
        Begins the layer of ``fields``.
    fields : descriptor_layout(ClassicGeometry), in
        The layer's.
    row : row_layout(config), in
        What is written into the banks.
    begin, word, known, fit
        As RunCounter has them, ``word`` being its ``i``; where there are tiles.
    valid : unsigned(1), out
        Whether ``slots`` are a beat's.
    tail_lanes : unsigned(lanes), out
        The lanes of the layer's last beat that hold weights; where there are no tiles.
    slots : slots_layout(config), out
        Of a beat, before they are masked.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "start": In(1),
                "fields": In(descriptor_layout(config.GEOMETRY)),
                "row": In(row_layout(config)),
                "valid": Out(1),
                "slots": Out(slots_layout(config)),
            }
            | (self._ports_of_tiles() if config.takes_tiles else {"tail_lanes": Out(config.lanes)})
        )

    @staticmethod
    def _ports_of_tiles() -> dict[str, Any]:
        words = In(stream.Signature(WORD_BITS, always_ready=True))
        return {"begin": In(1), "word": words, "known": Out(1), "fit": Out(1)}

    def elaborate(self, platform: Any) -> Module:
        """Stages in order; ``valid``, ``last``, masks and offsets are *delayed* beside them."""
        m = Module()
        index = (RunCounter if self.config.takes_tiles else BeatCounter)(self.config.lanes)
        m.submodules.index = EnableInserter(self.en)(index)
        m.d.comb += [
            index.start.eq(self.start),
            index.n_weights.eq(self.fields.n_weights),
            index.go.eq(index.valid),
        ]
        words, masks = self._hash(m, index.group)
        rows = self._rows(m, words)
        m.d.comb += self.slots.slots.eq(rows[0] ^ rows[1] ^ rows[2])
        if self.config.takes_tiles:
            m.d.comb += [
                index.begin.eq(self.begin),
                index.i.valid.eq(self.word.valid),
                index.i.payload.eq(self.word.payload),
                self.known.eq(index.known),
                self.fit.eq(index.fit),
            ]
        self._beside(m, index, masks)
        return m

    def _hash(self, m: Module, group: Value) -> tuple[Any, Value]:
        """The address words of a group, and its masks word MASK_ROUNDS cycles after them."""
        address = HashRounds(spec.ADDRESS_ROUNDS, self.config.rounds_per_stage)
        mask = HashRounds(spec.MASK_ROUNDS, 1)  # hashed on while rows are computed
        m.submodules.address_hash = EnableInserter(self.en)(address)
        m.submodules.mask_hash = EnableInserter(self.en)(mask)
        state = initial_state(group, self.fields.seed, Const(spec.DOMAIN, WORD_BITS), rotate)
        m.d.comb += [address.i[k].eq(word) for k, word in enumerate(state)]
        m.d.comb += mask.i.eq(address.o)
        return address.o, mask.o.as_value()

    def _rows(self, m: Module, words: Any) -> list[Value]:
        """Range, banks, permutation: the row of each bank, its lanes in order."""
        config = self.config
        reduction = RangeReduction(config)
        m.submodules.range = EnableInserter(self.en)(reduction)
        m.d.comb += [reduction.words.eq(words), reduction.bank_rows.eq(self.fields.bank_rows)]
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
                bank.write.eq(self.row.write[number]),
                bank.write_addr.eq(self.row.addr),
                bank.write_data.eq(self.row.data),
                permute.offset.eq(offset),
                permute.i.eq(bank.row),
            ]
            rows.append(permute.o)
        return rows

    def _beside(self, m: Module, index: BeatCounter | RunCounter, masks: Value) -> None:
        """What comes down the pipeline beside the rows: masks, ``valid``, ``last``."""
        config = self.config
        n_stages = config.slots_stages - 1  # behind the counter
        wait = config.RANGE_STAGES + config.BANK_STAGES + config.permute_stages - spec.MASK_ROUNDS
        used = masks[: config.lanes + config.slot_bits - 1]
        m.d.comb += self.slots.masks.eq(delayed(m, self.en, used, wait, "masks"))
        soon_last = delayed(m, self.en, index.last & index.valid, n_stages - 1, "last")
        if isinstance(index, BeatCounter):
            m.d.comb += self.tail_lanes.eq(index.tail_lanes)
        m.d.comb += [
            self.valid.eq(delayed(m, self.en, index.valid, n_stages, "valid", reset_less=False)),
            self.slots.last.eq(delayed(m, self.en, soon_last, 1, "last_now")),
        ]
        if isinstance(index, RunCounter):
            head, tail = (
                delayed(m, self.en, end, n_stages - 1, name)
                for end, name in ((index.head, "head"), (index.tail, "tail"))
            )
            ones = Const(~0, config.lanes)
            m.d.comb += self.slots.lanes.eq(
                delayed(m, self.en, (ones << head) & ~(ones << tail << 1), 1, "lanes")
            )


class Decoder(wiring.Component):
    """The whole decoder: records in, beats out, one record after another without reset.

    Throughput is one beat per clock while ``weights.ready`` is high; the first beat is valid
    ``config.fill_latency`` cycles after the CRC word was found to be right.

    Parameters
    ----------
    config : ClassicConfig
        Everything.

    Attributes
    ----------
    load, weights, reg_addr, reg_data, reg_write, reg_write_data, error
        As DecoderSignature has them.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(DecoderSignature(config))

    def elaborate(self, platform: Any) -> Module:
        """The *loader* fills the memories and starts the pipeline; the *code* stage's ready is its enable."""
        m = Module()
        config = self.config
        parts: dict[str, Any] = {
            "loader": FrameReader(config),
            "table": BankLoader(config),
            "pipeline": Pipeline(config),
            "code": CodeStage(config),
        }
        m.submodules.registers = registers = RegisterFile(config)
        for name, part in parts.items():
            m.submodules[name] = ResetInserter(registers.soft_reset)(part)
        loader, table, pipeline, code = parts.values()
        connect(m, flipped(self.load), loader.load)
        self._connect_body(m, loader, table, pipeline)
        connect(m, code.o, flipped(self.weights))
        taken = Signal()
        m.d.comb += [
            loader.own_faults.eq(own_faults(config, loader.fields)),
            loader.body_done.eq(table.done),
            loader.finished.eq(taken & self.weights.payload.last),
            table.start.eq(loader.body_start),
            table.bank_rows.eq(loader.fields.bank_rows),
            pipeline.en.eq(code.i.ready),
            pipeline.start.eq(loader.start),
            pipeline.fields.eq(loader.fields),
            pipeline.row.eq(table.row),
            code.i.valid.eq(pipeline.valid),
            code.i.payload.eq(pipeline.slots),
            code.n_codes.eq(loader.fields.n_codes),
        ]
        if not config.takes_tiles:
            m.d.comb += code.tail_lanes.eq(pipeline.tail_lanes)
        m.d.comb += [code.entry.eq(loader.entry), taken.eq(self.weights.valid & self.weights.ready)]
        registers.connect_to(m, self, loader, taken)
        return m

    def _connect_body(self, m: Module, loader: FrameReader, table: BankLoader, pipeline: Pipeline) -> None:
        """A record's payload goes to the banks, a tile's words to the counter."""
        if not self.config.takes_tiles:
            connect(m, loader.body, table.i)
            return
        m.d.comb += [
            loader.body.ready.eq(loader.is_tile | table.i.ready),
            table.i.valid.eq(loader.body.valid & ~loader.is_tile),
            table.i.payload.eq(loader.body.payload),
            pipeline.begin.eq(loader.begin),
            pipeline.word.valid.eq(loader.body.valid & loader.is_tile),
            pipeline.word.payload.eq(loader.body.payload),
            loader.runs_known.eq(pipeline.known),
            loader.runs_fit.eq(pipeline.fit),
        ]
