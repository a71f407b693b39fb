"""Every component of the decoders: its ports are described, and it elaborates."""

import re

from amaranth.hdl import Fragment
from amaranth.lib import wiring

from weightless_hw import frame, register_file
from weightless_hw.bitmask import decoder as bitmask_decoder
from weightless_hw.bitmask import load as bitmask_load
from weightless_hw.bitmask import stages as bitmask_stages
from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.classic import decoder, load, stages, tiles
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.parts import beats, codes, hash, items
from weightless_hw.ribbon import decoder as ribbon_decoder
from weightless_hw.ribbon import load as ribbon_load
from weightless_hw.ribbon import stages as ribbon_stages
from weightless_hw.ribbon.config import RibbonConfig

RIBBON = ribbon_load, ribbon_stages, ribbon_decoder
BITMASK = bitmask_load, bitmask_stages, bitmask_decoder


def components():
    """One of every component, the shared and the decoders' own."""
    config, ribbon, bitmask = ClassicConfig(lanes=2), RibbonConfig(), BitmaskConfig()
    tiled = ClassicConfig(lanes=2, tiles=1)
    return [
        hash.HashRounds(2, 1), items.Items(8), items.Skid(8), beats.BeatCounter(2), codes.CodebookLoader(config),
        codes.Codebook(config), codes.CodeStage(config), frame.FrameReader(config), register_file.RegisterFile(config),
        stages.LanePermutation(2, 8), stages.RangeReduction(config), stages.Bank(config), load.BankLoader(config),
        decoder.Pipeline(config), decoder.Decoder(config), tiles.RunsCheck(), tiles.RunCounter(2),
        frame.FrameReader(tiled), codes.CodeStage(tiled), decoder.Pipeline(tiled), decoder.Decoder(tiled),
        ribbon_load.EntryReader(), ribbon_load.ChunkReader(ribbon), ribbon_stages.Segments(ribbon),
        ribbon_stages.Position(ribbon), ribbon_stages.Window(ribbon), ribbon_decoder.Pipeline(ribbon),
        ribbon_decoder.Decoder(ribbon), frame.FrameReader(ribbon), codes.CodeStage(ribbon),
        bitmask_load.MaskReader(bitmask), bitmask_stages.Masks(bitmask), bitmask_stages.Codes(bitmask),
        bitmask_decoder.Pipeline(bitmask), bitmask_decoder.Decoder(bitmask), codes.CodebookLoader(bitmask),
        codes.CodeStage(bitmask),
    ]  # fmt: skip


def test_every_port_is_described_and_every_elaborate_opens_with_a_word():
    written = [
        cls
        for module in (
            hash,
            items,
            beats,
            codes,
            frame,
            register_file,
            stages,
            load,
            tiles,
            decoder,
            *RIBBON,
            *BITMASK,
        )
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, wiring.Component) and cls.__module__ == module.__name__
    ]
    instances = components()
    assert {type(component) for component in instances} == set(written)
    for component in instances:
        described = type(component).__doc__.split("Attributes\n", 1)[1]
        missing = [name for name in component.signature.members if not re.search(rf"\b{name}\b", described)]
        assert not missing, f"{type(component).__name__}: {missing}"
        assert type(component).elaborate.__doc__, type(component).__name__
        Fragment.get(component, None)  # an elaboratable that is never elaborated warns
