"""The streaming decoder of the ribbon layout, in stage order (the figure in docs/hardware.md).

    index, start word -> hash -> window -> xor with mask -> compare, codebook -> output

Terms.  A *beat* is one transfer of ``lanes`` weights.  Everything up to the XOR is the *pipeline*; all
its registers move together or hold together, as its enable ``en`` says.  A beat goes into it when the segment that it
lies in is known and the words of its window are there; otherwise a *bubble* does.  Widths and latencies come from
``RibbonConfig``, every constant of the format from ``weightless_sw.spec``.
"""

from itertools import pairwise
from typing import Any

from amaranth import Array, Cat, Const, EnableInserter, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weightless_hw.frame import FrameReader, to_bits
from weightless_hw.parts.beats import BeatCounter, delayed
from weightless_hw.parts.codes import CodeStage, mask_bits, slots_layout
from weightless_hw.parts.hash import HashRounds, rotate
from weightless_hw.register_file import RegisterFile
from weightless_hw.registers import LoadError
from weightless_hw.ribbon.config import RibbonConfig
from weightless_hw.ribbon.load import (
    CHUNK_UNITS,
    ENTRY,
    LAYER_UNITS,
    UNIT_LOG2,
    ChunkReader,
    write_layout,
)
from weightless_hw.ribbon.stages import Position, Segments, Window
from weightless_hw.signature import DecoderSignature
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.hash import WORD_BITS, initial_state


class Pipeline(wiring.Component):
    """From the index to the beat.

    Parameters
    ----------
    config : RibbonConfig
        Everything.

    Attributes
    ----------
    en : unsigned(1), in
        Moves every register of a stage; while it is low they all hold.
    start : unsigned(1), in
        Begins the layer of ``n_weights`` weights.
    stop : unsigned(1), in
        Issues no beat more: the words are wrong.
    abort : unsigned(1), in
        Ends it: a beat without lanes follows, if its last one has not been issued.
    n_weights : unsigned(32), in
        N, read while ``start`` is high.
    begin : unsigned(1), in
        A chunk begins.
    mask : unsigned(CHUNK_UNITS), in
        Units of a whole chunk, less one.
    seed : unsigned(16), in
        Of the chunk's hash.
    entry : Stream(ENTRY), in
        Its segments.
    write : write_layout(config), in
        What is written into the window.
    block_done : unsigned(1), in
        With this write, four more words are in the window.
    unit : unsigned(LAYER_UNITS), out
        Number of the next unit of groups.
    final : unsigned(LAYER_UNITS), out
        Of the layer's last one.
    active : unsigned(1), out
        Groups of the chunk are still to be issued.
    quiet : unsigned(1), out
        None is, and none that was is still to read the window.
    freed : range(groups + 1), out
        Words of the window that are read no more.
    issued : unsigned(1), out
        A beat goes into the pipeline if that moves.
    valid : unsigned(1), out
        Whether ``slots`` are a beat's.
    tail_lanes : unsigned(lanes), out
        The lanes of the layer's last beat that hold weights.
    slots : slots_layout(config), out
        Of a beat, before they are masked.
    """

    def __init__(self, config: RibbonConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "start": In(1),
                "stop": In(1),
                "abort": In(1),
                "n_weights": In(32),
                "begin": In(1),
                "mask": In(CHUNK_UNITS),
                "seed": In(16),
                "entry": In(stream.Signature(ENTRY)),
                "write": In(write_layout(config)),
                "block_done": In(1),
                "unit": Out(LAYER_UNITS),
                "final": Out(LAYER_UNITS),
                "active": Out(1),
                "quiet": Out(1),
                "freed": Out(range(config.groups + 1)),
                "issued": Out(1),
                "valid": Out(1),
                "tail_lanes": Out(config.lanes),
                "slots": Out(slots_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Stages in order; what else a beat has is *delayed* beside them."""
        m = Module()
        config, n_hash = self.config, self.config.hash_stages
        index = BeatCounter(config.lanes)
        m.submodules.index = EnableInserter(self.en)(index)
        places, move, closing = self._issue(m, index)
        part = delayed(m, self.en, index.group[: (config.beats - 1).bit_length()], n_hash, "part")
        slots, masks = [], []
        for number, place in enumerate(places):
            words = self._hash(m, self._group(index, number), number)
            m.submodules[f"window_{number}"] = window = Window(config)
            here = delayed(m, self.en, place, n_hash - 1, f"place_{number}")
            half, first = here[-1], here[:-1]
            halves = Cat(*(half ^ (column < first) for column in range(spec.WINDOW - 1)), half)
            m.d.comb += [
                window.en.eq(self.en),
                window.rotations.eq(words[0][spec.HASH_SHIFT :]),
                window.halves.eq(delayed(m, self.en, halves, 1, f"halves_{number}")),
                window.part.eq(part),
                window.write.eq(self.write),
            ]
            slots.append(window.sums)
            used = words[1][spec.HASH_SHIFT :][: spec.LANES + config.slot_bits - 1]
            parts = Array(used[k * config.lanes :][: mask_bits(config)] for k in range(config.beats))
            of_part = parts[part] if config.beats > 1 else used
            masks.append(delayed(m, self.en, of_part, config.WINDOW_STAGES, f"masks_{number}"))
        m.d.comb += [self.slots.slots.eq(Cat(slots)), self.slots.masks.eq(Cat(masks))]
        self._beside(m, index, move, closing)
        return m

    def _group(self, index: BeatCounter, number: int) -> Value:
        """The number of a beat's group, of its first or of its second one."""
        if self.config.groups > 1:
            return Cat(Const(number, 1), index.group)[:WORD_BITS]
        return index.group[(self.config.beats - 1).bit_length() :]

    def _issue(self, m: Module, index: BeatCounter) -> tuple[list[Value], Any, Value]:
        """Whether a beat goes, and from where: its groups' places in the ring, how the window moved, whether it closes
        a layer that was aborted."""
        m.submodules.segments = segments = Segments(self.config)
        m.submodules.position = position = Position(self.config)
        connect(m, flipped(self.entry), segments.i)
        goes, taken, closing = Signal(), Signal(), Signal()
        parts = (self.config.beats - 1).bit_length()
        moves = segments.o.payload.moves
        is_first, is_last = (index.group[:parts] == 0, index.group[:parts].all()) if parts else (1, 1)
        unit_beats = UNIT_LOG2 - (self.config.lanes - 1).bit_length()  # log2
        # The low bits of a beat's number, which count within a chunk.
        in_chunk = Cat(Const((1 << unit_beats) - 1, unit_beats), self.mask)
        chunk_last = Signal(reset_less=True)  # of the chunk, if not of the layer
        with m.If(taken):
            m.d.sync += chunk_last.eq((index.following | ~in_chunk)[: len(in_chunk)].all())
        moved = Mux(is_first, moves, 0)[: self.config.groups]
        m.d.comb += [
            index.start.eq(self.start),
            index.n_weights.eq(self.n_weights),
            index.go.eq(goes),
            goes.eq(self.active & segments.o.valid & position.full),
            taken.eq(goes & self.en),
            self.issued.eq(goes | closing),
            segments.begin.eq(self.begin),
            segments.o.ready.eq(taken & is_last),
            position.begin.eq(self.begin),
            position.block_done.eq(self.block_done),
            position.moves.eq(moved),
            position.taken.eq(taken),
            self.unit.eq(index.group >> unit_beats),
            self.final.eq(index.final >> unit_beats),
        ]
        with m.If(self.en):
            m.d.sync += closing.eq(0)
        with m.If(taken & (chunk_last | index.last)):
            m.d.sync += self.active.eq(0)
        with m.If(self.begin):
            m.d.sync += [self.active.eq(1), chunk_last.eq(0)]
        with m.If(self.stop | self.abort):
            m.d.sync += self.active.eq(0)
        aborted = delayed(m, Const(1), self.abort, 1, "aborted", reset_less=False)
        with m.If(aborted):  # and nothing is issued any more
            m.d.sync += closing.eq(index.valid)
        return list(position.places), (moved, segments.o.payload.dead), closing

    def _hash(self, m: Module, group: Value, number: int) -> Any:
        """The words of a group's hash."""
        rounds = HashRounds(spec.ROUNDS, self.config.rounds_per_stage)
        m.submodules[f"hash_{number}"] = EnableInserter(self.en)(rounds)
        state = initial_state(group, self.seed, Const(spec.DOMAIN, WORD_BITS), rotate)
        m.d.comb += [rounds.i[k].eq(word) for k, word in enumerate(state)]
        return rounds.o

    def _beside(self, m: Module, index: BeatCounter, move: Any, closing: Value) -> None:
        """What comes down the pipeline beside the slots; and which words of the window are read no more."""
        config, n_hash = self.config, self.config.hash_stages
        n_stages = config.slots_stages - 1  # behind the counter
        valid = [self.issued, *(Signal(name=f"valid_{k}") for k in range(n_stages))]
        reading = Signal()  # some are before the window, or in it
        with m.If(self.en):
            m.d.sync += [behind.eq(before) for before, behind in pairwise(valid)]
            m.d.sync += reading.eq(Cat(valid[:n_hash]).any())
        moved, dead = move
        moved = delayed(m, self.en, Mux(closing, 0, sum(moved[1:], moved[0])), n_hash, "moved")
        m.d.comb += [
            self.tail_lanes.eq(index.tail_lanes),
            self.quiet.eq(~self.active & ~reading),
            self.freed.eq(Mux(self.en & valid[n_hash], moved, 0)),
            self.valid.eq(valid[n_stages]),
            self.slots.dead.eq(delayed(m, self.en, dead, n_stages, "dead")),
            self.slots.last.eq(delayed(m, self.en, closing | index.last, n_stages, "last")),
        ]


class Decoder(wiring.Component):
    """The whole decoder: records in, beats out, one record after another without reset.

    Beats come while words do: one per clock while ``weights.ready`` is high and the words that it needs are there.

    Parameters
    ----------
    config : RibbonConfig
        Everything.

    Attributes
    ----------
    load, weights, reg_addr, reg_data, reg_write, reg_write_data, error
        As DecoderSignature has them.
    """

    def __init__(self, config: RibbonConfig):
        self.config = config
        super().__init__(DecoderSignature(config))

    def elaborate(self, platform: Any) -> Module:
        """The *loader* passes words on to the *chunks*' reader, which feeds the pipeline; the *code* stage's ready is
        its enable.  A layer that *failed* ends with a beat without lanes."""
        m = Module()
        config = self.config
        parts: dict[str, Any] = {
            "loader": FrameReader(config),
            "chunks": ChunkReader(config),
            "pipeline": Pipeline(config),
            "code": CodeStage(config),
        }
        m.submodules.registers = registers = RegisterFile(config)
        for name, part in parts.items():
            m.submodules[name] = ResetInserter(registers.soft_reset)(part)
        loader, chunks, pipeline, code = parts.values()
        connect(m, flipped(self.load), loader.load)
        connect(m, loader.body, chunks.i)
        connect(m, chunks.entry, pipeline.entry)
        connect(m, code.o, flipped(self.weights))
        taken, failed, abort = Signal(), Signal(), Signal()
        m.d.sync += abort.eq(loader.abort)  # why, is the longest way here
        with m.If(loader.start | abort):
            m.d.sync += failed.eq(abort)
        m.d.comb += [
            loader.own_faults.eq(own_faults(config, loader.fields)),
            loader.body_done.eq(chunks.done),
            loader.body_starved.eq(chunks.starved),
            loader.body_faults.eq(chunks.faults),
            loader.finished.eq(taken & self.weights.payload.last),
            chunks.start.eq(loader.start),
            chunks.abort.eq(abort),
            chunks.fields.eq(loader.fields),
            chunks.ended.eq(loader.body_ended),
            *(
                getattr(chunks, name).eq(getattr(pipeline, name))
                for name in ("unit", "final", "active", "quiet", "freed")
            ),
            *(
                getattr(pipeline, name).eq(getattr(chunks, name))
                for name in ("begin", "mask", "seed", "write", "block_done")
            ),
            pipeline.en.eq(code.i.ready),
            pipeline.start.eq(loader.start),
            pipeline.stop.eq(chunks.faults.any()),
            pipeline.abort.eq(abort),
            pipeline.n_weights.eq(loader.fields.n_weights),
            code.i.valid.eq(pipeline.valid),
            code.i.payload.eq(pipeline.slots),
            code.n_codes.eq(loader.fields.n_codes),
            code.tail_lanes.eq(pipeline.tail_lanes),
            code.entry.eq(loader.entry),
            code.failed.eq(failed),
            taken.eq(self.weights.valid & self.weights.ready),
        ]
        registers.connect_to(m, self, loader, taken)
        return m


def own_faults(config: RibbonConfig, fields: Any) -> Value:
    """What a descriptor of these fields is refused for that the layout adds, a bit each."""
    size = fields.chunk_log2
    no_size = (size < spec.MIN_CHUNK_LOG2) | (size > spec.MAX_CHUNK_LOG2) | (fields.zeros != 0)
    return to_bits(config, {LoadError.WIDTHS: (fields.widths != (config.slot_bits - 1) << 4) | no_size})
