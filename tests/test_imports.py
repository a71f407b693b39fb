"""Imports go one way: specification -> software, hardware configuration -> RTL, cycle model -> reports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"weightless_sw": ROOT, "weightless_hw": ROOT / "hw", "weightless_sim": ROOT / "sim"}
MODULES = {
    ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
    for package, folder in FOLDERS.items()
    for path in (folder / package).rglob("*.py")
    if path.name != "__init__.py" or path.parent.name == "weightless_sw"
}
SPECIFICATION = {name for name in MODULES if name.startswith("weightless_sw.spec")}
CONFIG = "weightless_hw.config"
SOFTWARE = {name for name in MODULES if name.startswith("weightless_sw")}
HARDWARE = {name for name in MODULES if name.startswith("weightless_hw")}
ENCODER = {"weightless_sw.codec", "weightless_sw.classic.encoder", "weightless_sw.classic.kernels"}
HEAVY = {"torch", "amaranth", "cocotb", "cocotb_tools", "matplotlib"}


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


def forbidden(name):
    """Project modules that this one must not import."""
    if name in SPECIFICATION:
        return set(MODULES) - SPECIFICATION
    if name in SOFTWARE:
        return HARDWARE | {m for m in MODULES if m.startswith("weightless_sim")}
    if name in HARDWARE:
        return (SOFTWARE - SPECIFICATION) | {m for m in MODULES if m.startswith("weightless_sim")}
    if name == "weightless_sim.cycles":
        return (HARDWARE - {CONFIG}) | (SOFTWARE - SPECIFICATION)
    if name == "weightless_sim.bench":
        return ENCODER
    return set()


def violations(name, path):
    roots = {module.split(".")[0] for module in imported(path, whole_file=False)}
    wrong = imported(path) & forbidden(name)
    if name in SOFTWARE | {CONFIG, "weightless_sim.cycles", "weightless_sim.cli"}:
        wrong |= roots & HEAVY
    return wrong


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_one_way(name):
    assert violations(name, MODULES[name]) == set()


def test_a_planted_import_is_found(tmp_path):
    path = tmp_path / "cycles.py"
    path.write_text("from weightless_hw import decoder\nimport amaranth\n")
    assert violations("weightless_sim.cycles", path) == {"weightless_hw.decoder", "amaranth"}
