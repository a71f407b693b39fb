"""The docs have the tables that are made of the committed results."""

from pathlib import Path

import pytest

from weightless_sim.report import results, tables

ROOT = Path(__file__).parent.parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_what_is_made(page):
    text = page.read_text()
    assert tables.filled(text, ROOT) == text, "run: make tables"


def test_every_table_stands_somewhere_and_a_changed_figure_is_found():
    whole = "".join(page.read_text() for page in PAGES)
    for name in tables.TABLES:
        assert whole.count(f"<!-- table {name} -->") == 1
    page = ROOT / "docs" / "layouts.md"
    wrong = page.read_text().replace("| classic | 1", "| classic | 2", 1)
    assert wrong != page.read_text()
    assert tables.filled(wrong, ROOT) == page.read_text()
    with pytest.raises(KeyError):
        tables.filled("<!-- table bogus -->\n<!-- end -->", ROOT)


def test_the_committed_layouts_are_what_is_measured(monkeypatch):
    """Of the smallest layer: the same bytes and false positives on every machine."""
    committed = [row for row in results.read(ROOT / "docs" / "results")[1] if row.layer == "fc3.weight"]
    arrays = results.inputs.load_tensors(results.MODEL)
    monkeypatch.setattr(results.inputs, "load_tensors", lambda _: {"fc3.weight": arrays["fc3.weight"]})
    assert results.layouts() == committed
