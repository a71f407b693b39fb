"""The check of the machine: each need is found missing when it is, and the README's line brings them all."""

import ast
import os
import re
import shutil
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
    monkeypatch.setattr(runner, "missing", lambda *_: "missing: perl")
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


def make(folder, *arguments, **environment):
    """make in ``folder``, which has the project's Makefile, with a stand-in for Python."""
    return subprocess.run(["make", "PYTHON=./python", *arguments], cwd=folder, capture_output=True, text=True,
                          check=False, env={**os.environ, **environment})  # fmt: skip


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile; its Python makes an environment of stand-ins that say where they lie."""
    folder = tmp_path / "p"
    (folder / "sim" / "weightless_sim").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(name, folder / name)
    (folder / "sim" / "weightless_sim" / "system.py").touch()
    (folder / "python").write_text("""#!/bin/sh
[ "$2" = venv ] || exit 0
mkdir -p "$3/bin"
for tool in pip weightless python; do
  printf '#!/bin/sh\\necho %s of %s \\"$*\\"\\n' $tool "$(pwd)" > "$3/bin/$tool"
  chmod +x "$3/bin/$tool"
done
""")
    (folder / "python").chmod(0o755)
    return folder


def test_a_copied_folder_sets_up_its_own_environment(checkout):
    """The environment names the folder that it was made in: in a copy it would run that one's code."""
    first = make(checkout, "sim")
    assert "Setting up" in first.stdout, first.stderr
    again = make(checkout, "sim")
    assert "Setting up" not in again.stdout
    assert f"weightless of {checkout} " in again.stdout
    copy = checkout.with_name("q")
    shutil.copytree(checkout, copy, symlinks=True)
    copied = make(copy, "sim")
    assert "Setting up" in copied.stdout
    assert f"weightless of {copy} " in copied.stdout
    assert "Setting up" not in make(copy, "sim").stdout
    moved = copy.rename(copy.with_name("my dir"))
    assert "Setting up" in make(moved, "sim").stdout
