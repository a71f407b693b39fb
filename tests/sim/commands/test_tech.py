import json

import pytest

from weightless_sim import cli


def test_figures_are_listed_with_their_sources(capsys):
    assert cli.main(["tech", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"HBM2", "fp16 multiply", "register"} <= {one["name"] for one in told["references"]}
    assert all(one["source"] and one["accuracy"] for one in (*told["references"], *told["logic"]))


def test_by_kind_or_name_and_own_ones(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(
        '[[reference]]\nname = "HBM9"\nkind = "dram"\nvalue = 1.5\nunit = "pJ/bit"\nsource = "me"\naccuracy = "no"\n'
    )
    assert cli.main(["tech", "dram", "register", "--tech", str(tmp_path / "mine.toml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = [one["name"] for one in told["references"]]
    assert {"HBM9", "register", "LPDDR5"} <= set(names)
    assert "fp16 add" not in names
    assert told["logic"] == []


def test_the_table_names_node_and_origin(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    assert cli.main(["tech", "wire, 40 nm", "logic"]) == 0
    out = capsys.readouterr().out
    assert "40 nm, 0.9 V" in out
    assert "NangateOpenCellLibrary, clock gates, 1.1 V" in out
    assert "HBM2" not in out


@pytest.mark.parametrize("name", ["HBM9", "sarm"])
def test_an_unknown_figure_is_an_error(name, capsys):
    assert cli.main(["tech", name]) == 2
    assert f"no figure is called '{name}'; there are: HBM2;" in capsys.readouterr().err
