import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import weightless_sw
from weightless_sw import provenance

GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]


def fake_package(folder: Path) -> Path:
    """This module alone, as if it were a package's."""
    package = folder / "weightless_sw"
    package.mkdir(parents=True)
    (package / "provenance.py").write_text(Path(provenance.__file__).read_text())
    return package


def asked(package: Path, cwd: Path, **options) -> str:
    """commit() of the module in ``package``, run in ``cwd``."""
    program = (
        f"import sys; sys.path.insert(0, {str(package)!r}); import provenance; print(provenance.commit())"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=True, **options
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """Some repository that the user stands in, with a commit."""
    folder = tmp_path / "users"
    folder.mkdir()
    (folder / "x").touch()
    for command in (["init", "-q"], ["add", "x"], ["commit", "-qm", "x"]):
        subprocess.run([*GIT, *command], cwd=folder, check=True)
    return folder


def test_never_the_commit_of_the_folder_that_the_user_stands_in(tmp_path, repository):
    package = fake_package(tmp_path / "site-packages")
    assert asked(package, repository) == "unknown"
    inside = fake_package(repository / "venv")  # in a tree, and not tracked by it
    assert asked(inside, repository) == "unknown"
    (package / "_commit.txt").write_text("abc1234\n")
    assert asked(package, repository) == "abc1234"


def test_the_commit_of_the_tree_that_tracks_the_package(tmp_path, repository):
    package = fake_package(repository)
    subprocess.run([*GIT, "add", "."], cwd=repository, check=True)
    subprocess.run([*GIT, "commit", "-qm", "y"], cwd=repository, check=True)
    run = subprocess.run(
        [*GIT, "rev-parse", "--short", "HEAD"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert asked(package, tmp_path) == run.stdout.strip()
    (package / "_commit.txt").write_text("abc1234")  # git knows better
    (repository / "x").write_text("changed")
    assert asked(package, tmp_path) == f"{run.stdout.strip()}-dirty"


def test_git_may_be_absent(tmp_path):
    assert asked(fake_package(tmp_path), tmp_path, env={"PATH": ""}) == "unknown"


def test_one_version_number():
    assert provenance.version() == weightless_sw.__version__
    assert "version = " not in Path("pyproject.toml").read_text().split("[project]")[1].split("[")[0].replace(
        "dynamic", ""
    )


def test_an_editable_installation_knows_its_folder(monkeypatch):
    class Distribution:
        def __init__(self, origin):
            self.origin = origin

        def read_text(self, name):
            return self.origin if name == "direct_url.json" else None

    def line(origin):
        monkeypatch.setattr(provenance.metadata, "distribution", lambda name: Distribution(origin))
        return provenance.install_line("sim", "train")

    editable = '{"dir_info": {"editable": true}, "url": "file:///home/a%20b/w"}'
    assert line(editable) == "python -m pip install -e '/home/a b/w[sim,train]'"
    from_index = "python -m pip install 'weightless-decoder[sim,train]'"
    assert line(None) == line('{"dir_info": {}, "url": "file:///home/w"}') == line("rubbish") == from_index


def test_this_installation_is_found_by_its_name():
    assert provenance.metadata.distribution(provenance.DISTRIBUTION).version == weightless_sw.__version__


OTHER = re.compile(  # the other package: in a line for pip, or required
    r"""install\b.*?['"\s]weightless(?!-decoder|[\w./])|['"]weightless(?:\[|[<>=~!])"""
)


def test_nobody_is_told_to_install_the_package_of_another_author():
    """PyPI has one that is called as our command is."""
    files = ["pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", ".ci/run", "hatch_build.py"]
    files += [str(path) for folder in ("docs", "weightless_sw", "hw", "sim", "tests") for path in
              Path(folder).rglob("*") if path.suffix in (".py", ".md", ".toml", ".json")]  # fmt: skip
    told = [
        f"{file}: {line.strip()}"
        for file in files
        if not Path(file).samefile(__file__)
        for line in Path(file).read_text().splitlines()
        if OTHER.search(line)
    ]
    assert told == []
    assert tomllib.loads(Path("pyproject.toml").read_text())["project"]["name"] == provenance.DISTRIBUTION


@pytest.mark.parametrize(
    "planted",
    [
        "pip install 'weightless[sim]'",
        "pip install weightless",
        '    "weightless[data]",',
        "pip install -U weightless",
        "install it with `pip install weightless`",
    ],
)
def test_a_planted_line_is_found(planted):
    assert OTHER.search(planted)
    assert not OTHER.search(planted.replace("weightless", "weightless-decoder"))
