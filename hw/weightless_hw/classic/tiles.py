"""Runs of a loaded table: the four words that name them, whether the layer has them, and the groups that they touch.

A whole layer is a tile of one run, so that nothing behind here tells them apart.
"""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import TILE_WORDS, Runs

RUNS_LAYOUT = data.StructLayout(dict.fromkeys(Runs._fields, WORD_BITS))


class RunsCheck(wiring.Component):
    """Whether all runs are weights of the layer: first + length + (number - 1) * stride <= N, no carry lost.

    The product is summed a bit of the number a cycle, low ones first, and ends with the highest that is set.  No run at
    all is 2^32 - 1 behind the first, which no layer has.

    Parameters
    ----------
    None.

    Attributes
    ----------
    start : unsigned(1), in
        Begins, with the ``runs`` of this cycle.
    runs : RUNS_LAYOUT, in
        What a tile asks for.
    n_weights : unsigned(32), in
        N.
    known : unsigned(1), out
        From the end of it on, until it is started again.
    fit : unsigned(1), out
        Whether they do, from then on.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "runs": In(RUNS_LAYOUT),
                "n_weights": In(WORD_BITS),
                "known": Out(1),
                "fit": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """*Behind*: the first weight behind the runs that were added.  The next bit of ``left`` says whether ``share``
        is added to it: the length first, then strides.  *Beyond*: the share is no u32."""
        m = Module()
        behind, share = (Signal(WORD_BITS, name=name, reset_less=True) for name in ("behind", "share"))
        left, at_length = Signal(WORD_BITS + 1), Signal()
        wrong, beyond = Signal(reset_less=True), Signal(reset_less=True)
        runs, total = self.runs, behind + share
        m.d.sync += [left.eq(left >> 1), at_length.eq(0)]
        with m.If(at_length):
            m.d.sync += share.eq(runs.stride)
        with m.Else():
            m.d.sync += [share.eq(share << 1), beyond.eq(beyond | share[-1])]
        with m.If(left[0]):
            m.d.sync += [behind.eq(total), wrong.eq(wrong | beyond | total[-1])]
        with m.If(left == 0):
            m.d.sync += [self.known.eq(1), self.fit.eq(~wrong & (behind <= self.n_weights))]
        with m.If(self.start):
            m.d.sync += [
                behind.eq(runs.first),
                share.eq(runs.length),
                left.eq(Cat(Const(1, 1), runs.number - 1)),
                at_length.eq(1),
                beyond.eq(0),
                wrong.eq((runs.length == 0) | (runs.stride < runs.length)),
                self.known.eq(0),
            ]
        return m


class RunCounter(wiring.Component):
    """The groups of a tile's runs, one a clock in which it is told to ``go``, from the cycle after ``start``.

    Parameters
    ----------
    lanes : int
        Weights of a group, a power of two.

    Attributes
    ----------
    begin : unsigned(1), in
        A frame's descriptor is there: the whole layer is the one run, unless words follow.
    n_weights : unsigned(32), in
        N, from then on.
    i : Stream(32), in
        The words of a tile.
    known : unsigned(1), out
        Whether the layer has them is known.
    fit : unsigned(1), out
        It has.
    start : unsigned(1), in
        Begins to count.
    go : unsigned(1), in
        The group is taken, and the next one comes; only while there is one.
    group : unsigned(32), out
        Number of the group.
    valid : unsigned(1), out
        Whether there is one.
    last : unsigned(1), out
        Whether it is the last of the last run.
    head, tail : unsigned(log2(lanes)), out
        The lanes of its first and of its last weight.
    """

    def __init__(self, lanes: int):
        self.lanes_log2 = lanes.bit_length() - 1
        super().__init__(
            {
                "begin": In(1),
                "n_weights": In(WORD_BITS),
                "i": In(stream.Signature(WORD_BITS, always_ready=True)),
                "known": Out(1),
                "fit": Out(1),
                "start": In(1),
                "go": In(1),
                "group": Out(WORD_BITS),
                "valid": Out(1),
                "last": Out(1),
                "head": Out(self.lanes_log2),
                "tail": Out(self.lanes_log2),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The words are shifted in; while it counts, ``first`` is the next run's, ``number`` that of runs to come."""
        m = Module()
        runs = Signal(RUNS_LAYOUT, reset_less=True)
        n_words, is_tile = Signal(range(TILE_WORDS)), Signal()
        m.submodules.check = check = RunsCheck()
        m.d.comb += [
            check.runs.eq(runs),
            check.n_weights.eq(self.n_weights),
            self.known.eq(is_tile & ~check.start & check.known),
            self.fit.eq(check.fit),
        ]
        m.d.sync += check.start.eq(0)
        self._count(m, runs)
        with m.If(self.i.valid):
            m.d.sync += [runs.eq(Cat(runs.as_value()[WORD_BITS:], self.i.payload)), n_words.eq(n_words + 1)]
            with m.If(n_words == TILE_WORDS - 1):
                m.d.sync += [check.start.eq(1), is_tile.eq(1)]
        with m.If(self.begin):
            m.d.sync += [runs.first.eq(0), runs.length.eq(self.n_weights), runs.number.eq(1)]
            m.d.sync += [n_words.eq(0), is_tile.eq(0)]
        return m

    def _count(self, m: Module, runs: Any) -> None:
        """A run has ``length`` div ``lanes`` groups, and one *more* or less as head and tail lie.  The first number is
        counted down in ``left``, up to where the group *ends* the run: no adder waits for another."""
        g = self.lanes_log2
        group, left = (Signal(WORD_BITS, name=name, reset_less=True) for name in ("group", "left"))
        ends, others = Signal(reset_less=True), Signal(reset_less=True)  # the run does; there are others
        head, tail = (Signal(g, name=name, reset_less=True) for name in ("head", "tail"))
        whole = runs.length >> g
        end = runs.first[:g] + runs.length[:g] - 1  # the last weight, but for whole groups
        more = end >> g  # -1, 0, 1 groups behind the first one, beyond the whole ones
        least = Signal(2, reset_less=True)  # of ``left``, as the group before the last one comes
        m.d.comb += [
            self.group.eq(group),
            self.last.eq(ends & ~others),
            self.head.eq(head),
            self.tail.eq(Mux(ends, tail, ~0)),
        ]
        with m.If(self.go):
            m.d.sync += [group.eq(group + 1), left.eq(left - 1), ends.eq(left == least), head.eq(0)]
            m.d.sync += self.valid.eq(~self.last)
        with m.If(self.start | (self.go & ends & others)):
            m.d.sync += [
                group.eq(runs.first >> g),
                left.eq(whole),
                least.eq(1 - more),
                ends.eq(((whole == 0) & (more == 0)) | ((whole == 1) & (more == -1))),
                head.eq(runs.first),
                tail.eq(end),
                others.eq(runs.number != 1),
                runs.first.eq(runs.first + runs.stride),
                runs.number.eq(runs.number - 1),
                self.valid.eq(1),
            ]
