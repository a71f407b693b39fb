"""Beats, the counter that numbers them, and what goes down a pipeline beside them."""

from typing import Any

from amaranth import Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weightless_hw.config import DecoderConfig


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


def delayed(
    m: Module, en: Value, value: Value, n_stages: int, name: str, *, reset_less: bool = True
) -> Value:
    """``value`` behind ``n_stages`` registers that hold while ``en`` is low."""
    for k in range(n_stages):
        register = Signal(len(value), name=f"{name}_{k}", reset_less=reset_less)
        with m.If(en):
            m.d.sync += register.eq(value)
        value = register
    return value


LOW_BITS = 8  # of a counter; most cycles move no other


def count_up(m: Module, count: Signal, event: Value) -> None:
    """Adds one in each cycle of the ``event``; bits above the low ones are clocked where those wrap."""
    low, high = count[:LOW_BITS], count[LOW_BITS:]
    with m.If(event):
        m.d.sync += low.eq(low + 1)
    with m.If(event & low.all()):
        m.d.sync += high.eq(high + 1)


class BeatCounter(wiring.Component):
    """Counts the groups of a layer, one a clock in which it is told to ``go``, from the cycle after ``start``.

    Parameters
    ----------
    lanes : int
        Weights of a group, a power of two.
    numbered : bool
        Whether the group's number is asked for.

    Attributes
    ----------
    start : unsigned(1), in
        Begins a layer of ``n_weights`` weights.
    n_weights : unsigned(32), in
        N, read while ``start`` is high.
    go : unsigned(1), in
        The group is taken, and the next one comes; only while there is one.
    group : unsigned(32), out
        Number of the group, where it is asked for.
    following : unsigned(32), out
        The number behind it, so that what is asked of a number can be known when it comes.
    final : unsigned(32), out
        Number of the layer's last group.
    valid : unsigned(1), out
        Whether there is one.
    last : unsigned(1), out
        Whether it is the layer's last.
    tail_lanes : unsigned(lanes), out
        The lanes of the last group that hold weights.
    """

    def __init__(self, lanes: int, *, numbered: bool = True):
        self.lanes, self.numbered = lanes, numbered
        super().__init__(
            {
                "start": In(1),
                "n_weights": In(32),
                "go": In(1),
                **({"group": Out(32)} if numbered else {}),
                "following": Out(32),
                "final": Out(32),
                "valid": Out(1),
                "last": Out(1),
                "tail_lanes": Out(lanes),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The tail is what the last group holds.  Whether the next group is the last is compared before it comes; so is
        whether the low bits of the number behind it *wrap*, or have."""
        m = Module()
        lanes_log2 = self.lanes.bit_length() - 1
        group, following, final = (
            Signal(32, name=name, reset_less=True) for name in ("group", "following", "final")
        )
        last, wraps, wrapped = (Signal(name=name, reset_less=True) for name in ("last", "wraps", "wrapped"))
        tail, tail_lanes = self.n_weights[:lanes_log2], Signal(self.lanes, reset_less=True)
        new_final = (self.n_weights >> lanes_log2) - (tail == 0 if lanes_log2 else 1)
        with m.If(self.start):
            m.d.sync += [
                self.valid.eq(1),
                *([group.eq(0)] if self.numbered else []),
                following.eq(1),
                wraps.eq(0),
                wrapped.eq(0),
                final.eq(new_final),
                last.eq((self.n_weights >> lanes_log2 == 0) | (self.n_weights == self.lanes)),
                tail_lanes.eq(~(Const(~0, self.lanes) << tail) if lanes_log2 else 1),
            ]
            if lanes_log2:
                with m.If(tail == 0):
                    m.d.sync += tail_lanes.eq(~0)
        with m.Elif(self.go):
            m.d.sync += [
                *([group[:LOW_BITS].eq(following)] if self.numbered else []),
                following[:LOW_BITS].eq(following[:LOW_BITS] + 1),
                last.eq(following == final),
                self.valid.eq(~last),
                wraps.eq(following[:LOW_BITS] == (1 << LOW_BITS) - 2),
                wrapped.eq(wraps),
            ]
            with m.If(wraps):
                m.d.sync += following[LOW_BITS:].eq(following[LOW_BITS:] + 1)
            if self.numbered:
                with m.If(wrapped):
                    m.d.sync += group[LOW_BITS:].eq(following[LOW_BITS:])
        m.d.comb += [
            *([self.group.eq(group)] if self.numbered else []),
            self.following.eq(following),
            self.final.eq(final),
            self.tail_lanes.eq(tail_lanes),
            self.last.eq(last),
        ]
        return m
