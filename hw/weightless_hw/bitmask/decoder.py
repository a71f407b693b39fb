"""The streaming decoder of the bitmask layout, in stage order (the figure in docs/hardware.md).

    mask, prefix sums -> codes -> codebook -> output

Terms.  A *beat* is one transfer of ``lanes`` weights; a *block* is the weights of a mask.  A beat goes into the
pipeline when its mask and its codes are there; otherwise a *bubble* does.  Widths and latencies come from
``BitmaskConfig``.
"""

from typing import Any

from amaranth import Array, Cat, Const, EnableInserter, Module, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.bitmask.load import MaskReader
from weightless_hw.bitmask.stages import Codes, Masks, aligned_layout
from weightless_hw.frame import FrameReader, to_bits
from weightless_hw.parts.beats import BeatCounter, delayed
from weightless_hw.parts.codes import CodeStage, slots_layout
from weightless_hw.register_file import RegisterFile
from weightless_hw.registers import LoadError
from weightless_hw.signature import DecoderSignature


class Pipeline(wiring.Component):
    """From masks and codes to the beat.

    Parameters
    ----------
    config : BitmaskConfig
        Everything.

    Attributes
    ----------
    en : unsigned(1), in
        Moves the registers of the codes; while it is low they hold.
    start : unsigned(1), in
        Begins the layer of ``n_weights`` weights.
    abort : unsigned(1), in
        Ends it: a beat without lanes follows, if its last one has not been issued, or was not given out.
    n_weights : unsigned(32), in
        N, read while ``start`` is high.
    n_codes : unsigned(n_codes_bits), in
        K; a code below it names a value.
    mask : Stream(32), in
        Mask words.
    code : Stream(32), in
        Code words.
    block_done : unsigned(1), in
        A block is whole.
    looked_at : unsigned(1), out
        Every whole block was.
    names_none : unsigned(1), out
        A code of a whole block names no value.
    issued : unsigned(1), out
        A beat goes into the pipeline if that moves.
    valid : unsigned(1), out
        Whether ``slots`` are a beat's.
    tail_lanes : unsigned(lanes), out
        The lanes of the layer's last beat that hold weights.
    slots : slots_layout(config), out
        Of a beat; there are no masks.
    """

    def __init__(self, config: BitmaskConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "start": In(1),
                "abort": In(1),
                "n_weights": In(32),
                "n_codes": In(config.n_codes_bits),
                "mask": In(stream.Signature(32)),
                "code": In(stream.Signature(32)),
                "block_done": In(1),
                "looked_at": Out(1),
                "names_none": Out(1),
                "issued": Out(1),
                "valid": Out(1),
                "tail_lanes": Out(config.lanes),
                "slots": Out(slots_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A beat *steps* out of masks and codes into the pipeline, or, behind the layer's last one, to nowhere.

        *Aligned*: codes from the beat's first one on; each lane chooses from them.  What it chose is looked at while it
        is *fresh*.  A beat of a *bad* code is none, nor is any that follows when it was *found*; those of its block
        still step, so that its words can come.  ``whole`` blocks have not been looked at to their end.
        """
        m = Module()
        config = self.config
        m.submodules.masks, m.submodules.codes = masks, codes = Masks(config), Codes(config)
        m.submodules.index = EnableInserter(self.en)(index := BeatCounter(config.lanes, numbered=False))
        connect(m, flipped(self.mask), masks.i)
        connect(m, flipped(self.code), codes.i)
        steps, goes, has_aligned, is_looked_at = (
            Signal(name=name) for name in ("steps", "goes", "has_aligned", "is_looked_at")
        )
        goes_on, fresh, bad, found, looked_at, stopped, closing = (
            Signal(name=name)
            for name in ("goes_on", "fresh", "bad", "found", "all_looked_at", "stopped", "closing")
        )
        whole = Signal(range(config.MASKS + 6))
        aligned, ends_block = Signal(aligned_layout(config), reset_less=True), Signal(reset_less=True)
        slots = self.slots
        looked_up = data.View(data.ArrayLayout(config.slot_bits, config.lanes), slots.slots)
        names_none = (~slots.dead[k] & (looked_up[k] >= self.n_codes) for k in range(config.lanes))
        m.d.comb += self.valid.eq(
            goes_on & ~bad
        )  # the first of the ports of that name: the bench knows it by that
        m.d.comb += [
            masks.clear.eq(self.start),
            codes.clear.eq(self.start),
            codes.used.eq(masks.used),
            bad.eq(fresh & Cat(names_none).any()),
            steps.eq(masks.has_beat & codes.has_codes & self.en & ~stopped),
            goes.eq(steps & index.valid),
            masks.go.eq(steps),
            codes.go.eq(steps),
            index.start.eq(self.start),
            index.n_weights.eq(self.n_weights),
            index.go.eq(goes),
            self.issued.eq((goes & ~found) | closing),
            self.looked_at.eq(whole == 0),
            self.names_none.eq(found & (whole != 0)),
            self.tail_lanes.eq(index.tail_lanes),
        ]
        with m.If(self.en):
            m.d.sync += [
                has_aligned.eq(self.issued),
                is_looked_at.eq(steps),
                aligned.dead.eq(~masks.lanes),
                aligned.last.eq(closing | index.last),
                aligned.ends_block.eq(masks.last),
                closing.eq(0),
                goes_on.eq(has_aligned),
                slots.dead.eq(aligned.dead),
                slots.last.eq(aligned.last),
            ]
        self._choose(m, (masks, codes), steps, aligned)
        m.d.sync += [
            fresh.eq(is_looked_at & self.en & ~found & ~bad),
            ends_block.eq(aligned.ends_block),
            looked_at.eq(fresh & ends_block & ~bad),
            whole.eq(whole + self.block_done - looked_at),
        ]
        aborted = delayed(m, Const(1), self.abort, 1, "aborted", reset_less=False)
        with m.If(self.abort):
            m.d.sync += stopped.eq(1)
        with m.If(bad):
            m.d.sync += [found.eq(1), has_aligned.eq(0), goes_on.eq(0)]
        with m.If(aborted):  # and nothing steps any more
            m.d.sync += [closing.eq(index.valid | found), found.eq(0)]
        with m.If(self.start):
            m.d.sync += [whole.eq(0), found.eq(0), stopped.eq(0)]
        return m

    def _choose(self, m: Module, parts: tuple[Masks, Codes], steps: Value, aligned: Any) -> None:
        """Each lane's code, behind those of the lanes before it.  Where lanes have enables, what no weight needs is not
        clocked."""
        (masks, codes), t, apart = parts, self.config.slot_bits, self.config.lane_enables
        for lane in range(self.config.lanes):
            place = slice(t * lane, t * (lane + 1))
            choices = Array(aligned.codes[t * k : t * (k + 1)] for k in range(lane + 1))
            with m.If((steps & (masks.n_set > lane)) if apart else self.en):
                m.d.sync += aligned.codes[place].eq(codes.codes[place])
            with m.If((steps & masks.lanes[lane]) if apart else self.en):
                m.d.sync += aligned.before[lane].eq(masks.before[lane])
            with m.If((self.en & ~aligned.dead[lane]) if apart else self.en):
                m.d.sync += self.slots.slots[place].eq(choices[aligned.before[lane]])


class Decoder(wiring.Component):
    """The whole decoder: records in, beats out, one record after another without reset.

    Beats come while words do: one per clock while ``weights.ready`` is high and the words that it needs are there.

    Parameters
    ----------
    config : BitmaskConfig
        Everything.

    Attributes
    ----------
    load, weights, reg_addr, reg_data, reg_write, reg_write_data, error
        As DecoderSignature has them.
    """

    def __init__(self, config: BitmaskConfig):
        self.config = config
        super().__init__(DecoderSignature(config))

    def elaborate(self, platform: Any) -> Module:
        """The *loader* passes words on to the *reader* of masks, which feeds the pipeline; the *code* stage's ready is
        its enable.  A layer that *failed* ends with a beat without lanes."""
        m = Module()
        config = self.config
        parts: dict[str, Any] = {
            "loader": FrameReader(config),
            "reader": MaskReader(config),
            "pipeline": Pipeline(config),
            "code": CodeStage(config),
        }
        m.submodules.registers = registers = RegisterFile(config)
        for name, part in parts.items():
            m.submodules[name] = ResetInserter(registers.soft_reset)(part)
        loader, reader, pipeline, code = parts.values()
        connect(m, flipped(self.load), loader.load)
        connect(m, loader.body, reader.i)
        connect(m, reader.mask, pipeline.mask)
        connect(m, reader.code, pipeline.code)
        connect(m, code.o, flipped(self.weights))
        taken, failed, abort = Signal(), Signal(), Signal()
        m.d.sync += abort.eq(loader.abort)
        with m.If(loader.start | abort):
            m.d.sync += failed.eq(abort)
        m.d.comb += [
            loader.own_faults.eq(own_faults(config, loader.fields)),
            loader.body_done.eq(reader.done),
            loader.body_starved.eq(reader.starved),
            loader.body_faults.eq(reader.faults),
            loader.finished.eq(taken & self.weights.payload.last),
            reader.start.eq(loader.start),
            reader.abort.eq(abort),
            reader.fields.eq(loader.fields),
            reader.ended.eq(loader.body_ended),
            reader.looked_at.eq(pipeline.looked_at),
            reader.names_none.eq(pipeline.names_none),
            pipeline.block_done.eq(reader.block_done),
            pipeline.en.eq(code.i.ready),
            pipeline.start.eq(loader.start),
            pipeline.abort.eq(abort),
            pipeline.n_weights.eq(loader.fields.n_weights),
            pipeline.n_codes.eq(loader.fields.n_codes),
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


def own_faults(config: BitmaskConfig, fields: Any) -> Value:
    """What a descriptor of these fields is refused for that the layout adds, a bit each."""
    none = fields.n_nonzero == 0
    return to_bits(
        config,
        {
            LoadError.WIDTHS: (fields.widths != (config.slot_bits - 1) << 4) | (fields.seed != 0),
            LoadError.N_WEIGHTS: fields.n_nonzero > fields.n_weights,
            LoadError.N_CODES: none != (fields.n_codes == 0),
        },
    )
