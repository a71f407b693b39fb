"""A characterised decoder as Accelergy takes it: an energy reference table (ERT) and an area reference table (ART).

Version 0.4 of the format, in JSON, which is YAML.  A component is a part of the decoder, an action of it one beat, in
pJ, settled or with glitches; areas are um2.  Counts of actions: beats, and those of ``weightless_sim.model.events``.
"""

import json
from pathlib import Path
from typing import Any

from weightless_sim.gates.characterise import Characterisation
from weightless_sw.files import write_atomically

VERSION = 0.4
TOP = "decoder"


def tables(result: Characterisation) -> tuple[dict[str, Any], dict[str, Any]]:
    """(ERT, ART) of what characterise.run gave; leakage is an action of its own, once a cycle."""
    settled, glitches = result.figures()
    energies = {
        _name(part): {
            "beat_settled": settled.parts[part].energy / 1000,
            "beat_glitches": glitches.parts[part].energy / 1000,
        }
        for part in settled.parts
    }
    areas = {_name(part): settled.parts[part].area for part in settled.parts}
    for k, block in enumerate(result.memories.blocks):
        name = _name(f"sram_{block.name}" if k else "sram")
        energies[name] = {"read": block.read_pj}  # of one memory
        areas[name] = block.n * block.area_um2
    energies[TOP] = {"leak": settled.leakage_pj_per_beat}
    areas[TOP] = 0.0
    ert = [
        {
            "name": name,
            "actions": [{"name": action, "arguments": {}, "energy": pj} for action, pj in actions.items()],
        }
        for name, actions in energies.items()
    ]
    art = [{"name": name, "area": area} for name, area in areas.items()]
    return {"ERT": {"version": VERSION, "tables": ert}}, {"ART": {"version": VERSION, "tables": art}}


def write(result: Characterisation, folder: Path) -> None:
    """``ERT.yaml`` and ``ART.yaml`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in zip(("ERT", "ART"), tables(result), strict=True):
        write_atomically(folder / f"{name}.yaml", (json.dumps(table, indent=1) + "\n").encode())


def _name(part: str) -> str:
    return f"{TOP}.{part.replace(' ', '_')}"
