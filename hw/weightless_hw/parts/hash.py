"""The hash, as hardware has it."""

from typing import Any

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weightless_sw.spec.hash import WORD_BITS, mix_round

WORDS = data.ArrayLayout(WORD_BITS, 3)


def rotate(word: Value, k: int) -> Value:
    """A 32-bit word rotated left by ``k`` bits."""
    return word.rotate_left(k)


def shift(word: Value, k: int) -> Value:
    """A 32-bit word shifted left by ``k`` bits."""
    return Cat(Const(0, k), word[: WORD_BITS - k])


class HashRounds(wiring.Component):
    """Rounds of the hash, pipelined.

    Parameters
    ----------
    n_rounds : int
        Rounds in all.
    per_stage : int
        Rounds between two registers; a last, shorter stage has a register, too.

    Attributes
    ----------
    i : WORDS, in
        The state before the first round.
    o : WORDS, out
        The state after the last round, ceil(n_rounds / per_stage) cycles later.
    """

    def __init__(self, n_rounds: int, per_stage: int):
        self.n_rounds = n_rounds
        self.per_stage = per_stage
        super().__init__({"i": In(WORDS), "o": Out(WORDS)})

    def elaborate(self, platform: Any) -> Module:
        """A *state* is three words; ``x_k``, ``y_k``, ``z_k`` are those behind round k, registers or not.

        A signal per round: nested expressions would grow with the power of the rounds.
        """
        m = Module()
        state: tuple[Any, Any, Any] = (self.i[0], self.i[1], self.i[2])
        for k in range(1, self.n_rounds + 1):
            state = mix_round(*state, rotate, shift)
            behind = [Signal(WORD_BITS, name=f"{word}_{k}", reset_less=True) for word in "xyz"]
            domain = m.d.sync if k % self.per_stage == 0 or k == self.n_rounds else m.d.comb
            domain += [signal.eq(word) for signal, word in zip(behind, state, strict=True)]
            state = (behind[0], behind[1], behind[2])
        m.d.comb += [self.o[k].eq(word) for k, word in enumerate(state)]
        return m
