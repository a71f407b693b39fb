"""Weightless hardware: decoders' configurations, their Amaranth descriptions, and what is exported of them.

import weightless_hw as wh
config = wh.for_layers([tensor.geometry])
m.submodules.decoder = decoder = wh.component(config)  # streams load, weights (docs/amaranth.md)
text = wh.to_verilog(config)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightless_hw.config import DecoderConfig
    from weightless_hw.decoders import component, configure, for_layers, serve
    from weightless_hw.export.verilog import to_verilog
    from weightless_hw.parts.beats import beat_layout
    from weightless_hw.registers import ADDRESS, REGISTERS, LoadError, Phase
    from weightless_hw.signature import WORD_LAYOUT, DecoderSignature

__all__ = [
    "ADDRESS",
    "REGISTERS",
    "WORD_LAYOUT",
    "DecoderConfig",
    "DecoderSignature",
    "LoadError",
    "Phase",
    "beat_layout",
    "component",
    "configure",
    "for_layers",
    "serve",
    "to_verilog",
]

# Public names by the module that has them, imported when they are asked for: a cycle model needs no Amaranth.
_PUBLIC = {
    "config": ("DecoderConfig",),
    "decoders": ("component", "configure", "for_layers", "serve"),
    "export.verilog": ("to_verilog",),
    "parts.beats": ("beat_layout",),
    "registers": ("ADDRESS", "REGISTERS", "LoadError", "Phase"),
    "signature": ("WORD_LAYOUT", "DecoderSignature"),
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
