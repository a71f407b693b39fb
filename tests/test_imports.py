"""Imports go one way, and a layout's room is known to the two lists alone.

specification -> software -> decoders' configurations -> RTL; specification, configurations -> models; all of
these -> cosimulation, study, report, commands.
"""

import ast
from pathlib import Path

import pytest

from weightless_sw import layouts

ROOT = Path(__file__).parent.parent
FOLDERS = {"weightless_sw": ROOT, "weightless_hw": ROOT / "hw", "weightless_sim": ROOT / "sim"}
MODULES = {
    ".".join(path.relative_to(folder).with_suffix("").parts): path
    for package, folder in FOLDERS.items()
    for path in (folder / package).rglob("*.py")
    if path.name != "__init__.py"
}
HEAVY = {"torch", "sklearn", "amaranth", "cocotb", "cocotb_tools", "matplotlib"}
LAYOUTS = [layout.folder.rsplit(".")[-1] for layout in layouts.LAYOUTS]
# Who knows them all; and the pictures of the docs, one of which is of the ribbon.
LISTS = {"weightless_sw.layouts", "weightless_hw.decoders", "weightless_sim.report.figures"}


def within(*prefixes):
    """Modules in these packages, or of these names."""
    return {m for m in MODULES if any(m == prefix or m.startswith(prefix + ".") for prefix in prefixes)}


SPECIFICATION = within("weightless_sw.spec")
SOFTWARE, HARDWARE, SIMULATION = (within(package) for package in FOLDERS)
CONFIGS = {m for m in HARDWARE if m.endswith(".config")} | within(
    "weightless_hw.registers", "weightless_hw.decoders"
)
KERNELS = {m for m in SOFTWARE if m.endswith((".encoder", ".kernels"))} | within("weightless_sw.codec")
ROOMS = {
    layout: within(f"weightless_sw.{layout}", f"weightless_sw.spec.{layout}", f"weightless_hw.{layout}")
    for layout in LAYOUTS
}
MODELS = within("weightless_sim.model")
BENCH = within("weightless_sim.cosim") - within("weightless_sim.cosim.runner")
# What a machine without the extras must be able to import.
TRAINING = within("weightless_sw.training")
LIGHT = (SOFTWARE - TRAINING) | CONFIGS | MODELS | within("weightless_sim.cli", "weightless_sim.commands")
# (who, must not import): the rules, each on sets of modules.
RULES = [
    (SPECIFICATION, set(MODULES) - SPECIFICATION),
    (SOFTWARE, HARDWARE | SIMULATION),
    (HARDWARE, (SOFTWARE - SPECIFICATION) | SIMULATION),
    (CONFIGS, HARDWARE - CONFIGS),
    # A model that follows a record's words is a loop, and so compiled.
    (MODELS, (HARDWARE - CONFIGS) | (SOFTWARE - SPECIFICATION - within("weightless_sw.compiled"))),
    (BENCH, KERNELS),
    (set(MODULES) - TRAINING - within("weightless_sim.commands"), TRAINING),
    *((set(MODULES) - room - LISTS, room) for room in ROOMS.values()),
]


def imported(path, whole_file=True):
    """Modules that a file imports; without ``whole_file`` only those at its top level."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if whole_file else tree.body
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(name, path):
    """What this module imports and must not."""
    forbidden = set().union(*(theirs for mine, theirs in RULES if name in mine))
    wrong = imported(path) & forbidden
    if name in LIGHT:
        wrong |= {module.split(".")[0] for module in imported(path, whole_file=False)} & HEAVY
    return wrong


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_one_way(name):
    assert violations(name, MODULES[name]) == set()


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        (
            "weightless_sim.model.stored",
            "from weightless_hw.parts import hash\nimport amaranth\n",
            {"weightless_hw.parts.hash", "amaranth"},
        ),
        (
            "weightless_sw.container",
            "from weightless_sw.classic import golden",
            {"weightless_sw.classic.golden"},
        ),
        ("weightless_sim.study.run", "import weightless_hw.classic.config", {"weightless_hw.classic.config"}),
        ("weightless_hw.parts.hash", "import weightless_sw.tensor", {"weightless_sw.tensor"}),
        (
            "weightless_sw.codec",
            "import torch\nimport weightless_sw.training.learn",
            {"torch", "weightless_sw.training.learn"},
        ),
        ("weightless_sw.spec.hash", "from weightless_sw import files", {"weightless_sw.files"}),
    ],
)
def test_a_planted_import_is_found(tmp_path, name, text, found):
    assert name in MODULES
    path = tmp_path / "module.py"
    path.write_text(text)
    assert violations(name, path) == found
