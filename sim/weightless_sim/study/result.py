"""What a study's result is made of; no simulator is imported."""

from enum import StrEnum


class RunKind(StrEnum):
    """What is simulated."""

    IN_TURN = "in turn"  # all tables of a decoder, without a stall
    STALL = "stall"  # the largest table, under one pattern of stalls
