"""The check of the machine: each need is found missing when it is, and the README's line brings them all."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from weightless_sim import system
from weightless_sim.cosim import runner
from weightless_sim.study import run as study

ROOT = Path(__file__).parent.parent.parent


def test_this_machine_has_what_it_takes():
    assert system.missing(system.FOR_SIMULATION) == ""


@pytest.mark.parametrize("name", [name for name, _, _ in system.NEEDS])
def test_each_need_is_named_with_its_package(name, monkeypatch):
    needs = tuple((what, (lambda what=what: what != name), package) for what, _, package in system.NEEDS)
    package = next(package for what, _, package in system.NEEDS if what == name)
    monkeypatch.setattr(system, "NEEDS", needs)
    assert system.missing() == f"missing: {name}; on Debian or Ubuntu: apt-get install {package}"
    assert (system.missing(system.FOR_SIMULATION) != "") == (name in system.FOR_SIMULATION)


def test_a_static_python_has_no_shared_library(monkeypatch):
    monkeypatch.setattr(system.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(system.sysconfig, "get_config_var", lambda name: "libpython0.0.a")
    assert not system.has_shared_python()


def test_the_line_of_the_readme_brings_them_all():
    (line,) = re.findall(r"^    apt-get install (.+)$", (ROOT / "README.md").read_text(), re.M)
    assert set(line.split()) == {package for _, _, package in system.NEEDS}


def test_make_stops_before_any_work_and_names_the_package(tmp_path):
    for tool in ("make", "sh", "sed"):
        (tmp_path / tool).symlink_to(Path("/usr/bin") / tool)
    run = subprocess.run(
        ["/usr/bin/make", "tools", f"PYTHON={sys.executable}"],
        cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode != 0
    assert "missing: git, g++, perl" in run.stderr
    assert "apt-get install git g++ perl" in run.stderr


def test_sim_stops_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "missing", lambda _: "missing: perl")
    with pytest.raises(runner.SimulationError, match=r"^missing: perl$"):
        study.run(study.Options(model="no such model", build=tmp_path), lambda _: pytest.fail("it worked"))
    assert not list(tmp_path.iterdir())


def test_standard_library_only():
    """The system's Python runs it before anything is installed."""
    tree = ast.parse(Path(system.__file__).read_text())
    roots = {
        alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    roots |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert roots <= set(sys.stdlib_module_names) | {"find_libpython"}
