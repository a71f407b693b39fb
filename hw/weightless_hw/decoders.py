"""The decoders: a line each.  Only here and in ``weightless_sw.layouts`` are all layouts known.

A decoder is a configuration (``<layout>/config.py``) and a component (``<layout>/decoder.py``), which is
imported when it is asked for: a cycle model or a bench needs no Amaranth.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.config import DecoderConfig
from weightless_hw.ribbon.config import RibbonConfig
from weightless_sw.spec.record import Geometry


class DecoderKind(NamedTuple):
    """A row of DECODERS."""

    config: type[DecoderConfig]
    module: str  # that holds the component ``Decoder``


DECODERS = (
    DecoderKind(ClassicConfig, "weightless_hw.classic.decoder"),
    DecoderKind(RibbonConfig, "weightless_hw.ribbon.decoder"),
    DecoderKind(BitmaskConfig, "weightless_hw.bitmask.decoder"),
)
BY_NAME = {kind.config.GEOMETRY.NAME: kind for kind in DECODERS}


def configure(layout: str, **parameters: int) -> DecoderConfig:
    """The configuration of a decoder of the layout of that name.  Raises ValueError for one that can't be."""
    _check_known(layout)
    kind = BY_NAME[layout].config
    kind.check_options(list(parameters))
    return kind(**parameters)


def options() -> dict[str, tuple[int, str]]:
    """By name: what a decoder can be told, (default, help); what only some layouts have names them."""
    common, own = DecoderConfig.options(), dict[str, tuple[int, str]]()
    for layout, kind in BY_NAME.items():
        for name, (default, text) in kind.config.options().items():
            if name not in common:
                before = f"{own[name][1]}; " if name in own else ""
                own[name] = default, f"{before}{layout}: {text}"
    return common | own


def _check_known(layout: str) -> None:
    if layout not in BY_NAME:
        raise ValueError(f"no decoder for the layout {layout!r}; there are: {', '.join(BY_NAME)}")


def for_layers(geometries: Sequence[Geometry], **overrides: int) -> DecoderConfig:
    """The smallest decoder that serves all these layers, which have one layout, one after another.

    Raises ValueError for a layout that no hardware reads.
    """
    _check_known(geometries[0].NAME)
    return BY_NAME[geometries[0].NAME].config.for_layers(geometries, **overrides)


def keeps_table(layout: str) -> bool:
    """Whether a resident record decodes the layout's table once more; where no hardware reads it, it may."""
    return layout not in BY_NAME or BY_NAME[layout].config.keeps_table()


def with_lanes(lanes: int) -> list[str]:
    """The layouts whose decoders may have so many lanes."""
    names = []
    for name in BY_NAME:
        with suppress(ValueError):
            configure(name, lanes=lanes)
            names.append(name)
    return names


def serve(
    geometries: Mapping[str, Geometry], *, layout: str | None = None, **given: int
) -> list[DecoderConfig]:
    """The decoders that the layers of a file take, as :func:`alike`; what a user has ``given`` is obeyed.

    Raises ValueError, naming the layer, where its record fixes otherwise what is given, and where that is too small.
    """
    for name, geometry in geometries.items():
        wrong = for_layers([geometry], **given).misfits(geometry)
        if layout not in (None, geometry.NAME):
            wrong.append(f"layout: the layer is {geometry.NAME}, not {layout}")
        if wrong:
            raise ValueError(
                f"{name}: {'; '.join(wrong)}. Leave the option out; or, as a record is what it was encoded to, encode "
                "the weights again with it (weightless encode)"
            )
    return alike(list(geometries.values()), **given)


def alike(geometries: Sequence[Geometry], **overrides: int) -> list[DecoderConfig]:
    """The decoders that these layers take: one for all that one can serve, in the order in which they are needed."""
    groups: list[list[Geometry]] = []
    for geometry in geometries:
        for group in groups:
            if _serves_all([*group, geometry]):
                group.append(geometry)
                break
        else:
            groups.append([geometry])
    return [for_layers(group, **overrides) for group in groups]


def _serves_all(geometries: Sequence[Geometry]) -> bool:
    if len({geometry.NAME for geometry in geometries}) > 1:
        return False
    config = for_layers(geometries)
    return not any(config.misfits(geometry) for geometry in geometries)


def component(config: DecoderConfig) -> Any:
    """The Amaranth component of a configuration: ports ``load``, ``weights``, ``reg_addr``, ``reg_data``."""
    return import_module(BY_NAME[config.GEOMETRY.NAME].module).Decoder(config)
