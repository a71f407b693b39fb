"""What tools read about exported Verilog: a FuseSoC core (CAPI2) and an IP-XACT component (IEEE 1685-2014)."""

import json
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from weightless_hw.config import DecoderConfig
from weightless_hw.export import ports
from weightless_hw.registers import ADDRESS, REGISTERS, LoadError
from weightless_sw import __version__

VENDOR, LIBRARY = "weightless", "decoder"
NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
MEMORY_MAP = "registers"
# Of ARM's own definitions: interface -> (bus, version, whether we are the slave).
INTERFACES = {
    "s_axis": ("AXI4Stream", "r0p0_1", True),
    "m_axis": ("AXI4Stream", "r0p0_1", False),
    "s_axi": ("AXI4-Lite", "r0p0_0", True),
}


class Source(NamedTuple):
    """A Verilog file that was written."""

    config: DecoderConfig
    name: str  # of the top module
    file: str  # its name, without a folder
    axi: bool
    bench: bool = False  # whether files of export.bench lie beside it

    @property
    def description(self) -> str:
        """One line."""
        c = self.config
        behind = ", behind AXI" if self.axi else ""
        return f"Streaming decoder of neural-network weights, {c.GEOMETRY.NAME} layout, {c.lanes} a clock{behind}"

    @property
    def ports(self) -> tuple[ports.Port, ...]:
        """Of the top module."""
        return ports.axi(self.config) if self.axi else ports.native(self.config)


def fusesoc_core(source: Source) -> str:
    """The text of a ``.core`` file; strings are written as JSON, which YAML is a superset of."""
    bench, target = _bench(source) if source.bench else ("", "")
    core = json.dumps(f"{VENDOR}:{LIBRARY}:{source.name}:{__version__}")
    return f"""\
CAPI=2:
name: {core}
description: {json.dumps(source.description)}
filesets:
  rtl:
    files: [{json.dumps(source.file)}]
    file_type: verilogSource
{bench}targets:
  default: &default
    filesets: [rtl]
    toplevel: {source.name}
  lint:
    <<: *default
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
{target}"""


def _bench(source: Source) -> tuple[str, str]:
    """The bench's file set, and the target that runs it."""
    data = [f"{source.name}_{kind}.hex" for kind in ("words", "beats")]
    files = "".join(
        f"    - {json.dumps(file)}: {{file_type: user, copyto: {json.dumps(file)}}}\n" for file in data
    )
    file_set = f"""\
  bench:
    files:
    - {json.dumps(f"{source.name}_tb.sv")}: {{file_type: systemVerilogSource}}
{files}"""
    target = f"""\
  sim:
    filesets: [rtl, bench]
    toplevel: {source.name}_tb
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2012]
"""
    return file_set, target


def ip_xact(source: Source) -> str:
    """The text of a component file: interfaces, registers, ports, the Verilog file, parameters."""
    component = Element("component", {"xmlns:ipxact": NAMESPACE})
    _texts(component, vendor=VENDOR, library=LIBRARY, name=source.name, version=__version__)
    if source.axi:
        _interfaces(component, source)
        _registers(component)
    _model(component, source)
    file_set = _nested(component, "fileSets", "fileSet")
    _texts(file_set, name="rtl")
    _texts(SubElement(file_set, "file"), name=source.file, fileType="verilogSource")
    _texts(component, description=source.description)
    parameters = SubElement(component, "parameters")
    for name, value in vars(source.config).items():
        _texts(SubElement(parameters, "parameter", {"parameterId": name}), name=name, value=value)
    for element in component.iter():
        element.tag = f"ipxact:{element.tag}"
    ElementTree.indent(component)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(component, encoding="unicode")}\n'


def _texts(parent: Element, **texts: object) -> None:
    """A child per keyword, in order."""
    for name, text in texts.items():
        SubElement(parent, name).text = str(text)


def _nested(parent: Element, *names: str) -> Element:
    """The innermost of elements in each other."""
    for name in names:
        parent = SubElement(parent, name)
    return parent


def _interfaces(component: Element, source: Source) -> None:
    interfaces = SubElement(component, "busInterfaces")
    for interface, (bus, version, is_slave) in INTERFACES.items():
        made = SubElement(interfaces, "busInterface")
        _texts(made, name=interface)
        identity = {"vendor": "amba.com", "library": "AMBA4", "version": version}
        SubElement(made, "busType", identity | {"name": bus})
        abstraction = _nested(made, "abstractionTypes", "abstractionType")
        SubElement(abstraction, "abstractionRef", identity | {"name": f"{bus}_rtl"})
        maps = SubElement(abstraction, "portMaps")
        clocks = [("ACLK", "aclk"), ("ARESETn", "aresetn")]
        own = [port.name for port in source.ports if port.name.rpartition("_")[0] == interface]
        for logical, physical in clocks + [(name.rpartition("_")[2].upper(), name) for name in own]:
            port_map = SubElement(maps, "portMap")
            _texts(SubElement(port_map, "logicalPort"), name=logical)
            _texts(SubElement(port_map, "physicalPort"), name=physical)
        role = SubElement(made, "slave" if is_slave else "master")
        if interface == "s_axi":
            SubElement(role, "memoryMapRef", {"memoryMapRef": MEMORY_MAP})


def _registers(component: Element) -> None:
    memory_map = _nested(component, "memoryMaps", "memoryMap")
    _texts(memory_map, name=MEMORY_MAP)
    block = SubElement(memory_map, "addressBlock")
    _texts(
        block, name=MEMORY_MAP, baseAddress=0, range=1 << ports.AXI_ADDRESS_BITS, width=32, usage="register"
    )
    for register in REGISTERS:
        made = SubElement(block, "register")
        _texts(
            made, name=register.name, description=register.text,
            addressOffset=ports.WORD_BYTES * ADDRESS[register.name], size=32, volatile="true",
            access="read-write" if register.write else "read-only",
        )  # fmt: skip
        fields = [(error.name, k, 1) for k, error in enumerate(LoadError)]
        for name, place, width in fields if register.name == "errors" else [(register.name, 0, 32)]:
            field = SubElement(made, "field")
            _texts(field, name=name, bitOffset=place, bitWidth=width)
            if register.name == "errors":
                _texts(field, access="read-write", modifiedWriteValue="oneToClear")
    _texts(memory_map, addressUnitBits=8)


def _model(component: Element, source: Source) -> None:
    model = SubElement(component, "model")
    _texts(_nested(model, "views", "view"), name="rtl", componentInstantiationRef="verilog")
    instantiation = _nested(model, "instantiations", "componentInstantiation")
    _texts(instantiation, name="verilog", language="verilog", moduleName=source.name)
    _texts(SubElement(instantiation, "fileSetRef"), localName="rtl")
    listed = SubElement(model, "ports")
    for port in source.ports:
        made = SubElement(listed, "port")
        _texts(made, name=port.name)
        if port.text:
            _texts(made, description=port.text)
        wire = SubElement(made, "wire")
        _texts(wire, direction=port.direction.removesuffix("put"))
        if port.width > 1:
            _texts(_nested(wire, "vectors", "vector"), left=port.width - 1, right=0)
