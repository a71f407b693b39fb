"""What tests of decoders ask a layout: a file for each that hardware reads, named as its room.

It has CONFIGS, by name, of the benches; ``full_record``, ``random_config`` and ``random_record``; and of frames that a
decoder must refuse what the layout adds to ``frames.py``: ``refused``, ``aliases`` and ``others``.
"""

from importlib import import_module

from weightless_hw import decoders

ROOMS = {layout: import_module(f"rooms.{layout}") for layout in decoders.BY_NAME}
CONFIGS = {name: config for room in ROOMS.values() for name, config in room.CONFIGS.items()}


def of(config):
    """The room of a decoder's layout."""
    return ROOMS[config.GEOMETRY.NAME]
