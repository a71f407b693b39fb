"""``report.html``, as text and in headless Chromium."""

import copy
import json
import re

import pytest
from markupsafe import escape

from weightless_sim import cli
from weightless_sim.report import page
from weightless_sim.report.page import ReportError, to_html
from weightless_sim.report.summary import network_rows
from weightless_sim.shown import to_json

HOSTILE = '<script>document.title="taken"</script>"><img src=x onerror=document.title="taken"> & </script>'
WIDTHS = (1200, 390, 320)


@pytest.fixture(scope="module")
def report(result):
    """As a program reads it from report.json."""
    return json.loads(to_json(result))


def renamed(report, name):
    """The report with the largest layer called so, wherever it stands."""
    return json.loads(
        json.dumps(report).replace('"a"', json.dumps(name)).replace('"in turn, a"', json.dumps(name))
    )


def test_the_page_stands_alone(report):
    html = to_html(report)
    assert len(html) < 500_000
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", html)
    assert not re.search(r"url\(|@import|https?:", html)
    order = [html.index(f'<h2 id="{name}"') for name in (
        "verdict", "network", "size", "errors", "throughput", "hardware", "energy", "sources")]  # fmt: skip
    assert order == sorted(order)


def test_figures_are_those_of_the_report(report):
    html = to_html(report)
    _, rows = network_rows(report["model"])
    cells = re.findall(
        r"<td[^>]*>([^<]*)</td>", html[html.index('<table id="table"') : html.index("</table>")]
    )
    assert [cell for row in rows for cell in row[1:]] == [cell for cell in cells if cell not in ("all",)]
    for row in report["sizes"]:
        assert row["kind"] == "dense" or f"{row['bytes']:,} B, {row['bits_per_weight']:,.3f} bit" in html
    for run in report["runs"].values():
        assert run["kind"] != "stall" or f"{run['cycles_rtl_sim']:,}" in html
    assert html.count("model = RTL") == 5
    assert report["provenance"]["command"] in html
    for row in report["energy"]["rows"]:
        for pj in row["places"].values():
            assert page.pair(pj, " pJ") in html


def test_names_are_data(report):
    html = to_html(renamed(report, HOSTILE))
    assert "<script>document" not in html
    assert "<img" not in html
    assert html.count("<script") == 2  # the table as CSV, and the program
    assert str(escape(HOSTILE)) in html


def test_a_device_says_what_does_not_fit(report):
    told = copy.deepcopy(report)
    for decoder in told["decoders"].values():
        decoder["fpga"][0] |= {"device": "ecp5-85k", "area": {
            "luts": 40_000, "luts_memory": 1_820, "flip_flops": 24_289, "block_rams": 56, "multipliers": 0,
            "tool": ""}}  # fmt: skip
    html = to_html(told)
    large, small = html[html.index('<div class="device device-0-0"') :].split(
        '<div class="device device-0-1"'
    )
    assert "50.0 %" in large
    assert "does not fit" not in large.split("Again:")[0]
    small = small[: small.index("Again:")]
    assert small.count("does not fit") == 2  # LUTs and flip-flops, by one
    assert ">100.0 %</span>" in small  # the block RAMs, all of them
    assert "not placed there" in small


def test_the_verdict_names_who_wins(report):
    lines = {line["question"]: line for line in page.verdict(report)}
    (constant, first), (exact, second) = lines["How many bytes?"]["rivals"]
    smallest = min(row["bytes"] for row in report["sizes"] if row["kind"] == "coded record")
    assert f"takes {smallest:,}" in exact
    assert (first, second) == (page.LOSES, page.LOSES)  # the ribbon is smaller than this classic table
    assert "Weightless ribbon" in constant
    assert lines["How many errors?"]["rivals"] == (("every exact format has none", page.LOSES),)
    assert lines["What accuracy?"]["rivals"][0][1] == page.EVEN
    told = copy.deepcopy(report)
    told["accuracy"] = {"test_images": 1000, "wrong": {"dense": 20, "retrained": 19}, "unknown": ""}
    told["energy"]["rows"][0]["places"]["on_chip"] = [0.1, 0.2]
    lines = {line["question"]: line for line in page.verdict(told)}
    assert lines["What accuracy?"]["rivals"][0][1] == lines["What energy?"]["rivals"][0][1] == page.WINS


def test_what_is_not_known_is_said_with_the_command(report):
    bare = copy.deepcopy(report) | {
        "encoding": {}, "sizes": [], "layouts": [], "false_positives": [], "energy": None, "energies": [],
        "weights": "absent",
    }  # fmt: skip
    for decoder in bare["decoders"].values():
        decoder |= {"energy": [], "fpga": []}
    for layer in bare["model"]["layers"]:
        layer |= {"n_nonzero": None, "n_false_positives": None, "rivals": {}, "energy": None, "density": None,
                  "false_positives_per_nonzero": None}  # fmt: skip
    bare["model"]["totals"] |= {
        "n_nonzero": None,
        "n_false_positives": None,
        "rivals": {},
        "energy": None,
        "density": None,
    }
    html = to_html(bare)
    for command in ("weightless asic --for", "weightless fpga --for", "--weights FILE"):
        assert command in html
    assert "Not placed." in html
    assert "Not characterised." in html


@pytest.mark.parametrize("other", [None, [], {}, {"schema": "weightless-report/6"}, "text"])
def test_what_is_no_report_is_refused(other):
    with pytest.raises(ReportError, match="no weightless-report/7, but"):
        to_html(other)


def test_a_report_without_a_part_is_refused(report):
    broken = {name: value for name, value in report.items() if name != "runs"}
    with pytest.raises(ReportError, match="a report without 'runs'"):
        to_html(broken)


def test_the_command_makes_it_again(report, tmp_path, capsys):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    assert cli.main(["report", str(path)]) == 0
    assert (tmp_path / "report.html").read_text() == to_html(report)
    assert cli.main(["report", str(path), "-o", str(tmp_path / "other.html")]) == 0
    assert "other.html" in capsys.readouterr().out
    for text, said in (("{", "report.json"), ("{}", "no weightless-report/7"), ("\xff", "report.json")):
        path.write_bytes(text.encode("latin-1"))
        assert cli.main(["report", str(path)]) == 2
        assert said in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path / "absent.json")]) == 2


@pytest.mark.parametrize(("value", "said"), [(1.07e9, "1.07 GB/s"), (49.02e-6, "49.0 µB/s"), (0, "0.00 nB/s"),
                                             (999.6, "1000 B/s"), (12, "12.0 B/s"), (None, "–")])  # fmt: skip
def test_prefixes(value, said):
    assert page.si(value, "B/s") == said


def test_confidence_of_a_share():
    """Wilson's interval, by hand at 0 of 10 and 5 of 10."""
    low, high = page.wilson(0, 10)
    assert (round(low, 4), round(high, 4)) == (0.0, 0.2775)
    low, high = page.wilson(5, 10)
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)


# In a browser.


@pytest.fixture
def opened(open_page):
    """A function that opens the page of a report in a window so wide, light or dark."""
    return lambda report, width=1200, dark=False: open_page(to_html(report), width, dark)


def column(driver, k):
    rows = "[...document.querySelectorAll('#table tbody tr')]"
    return driver.execute_script(f"return {rows}.map(row => row.cells[arguments[0]].textContent.trim())", k)


def test_the_table_sorts(opened, report):
    driver = opened(report)
    assert column(driver, 0) == ["a", "b", "c"]
    buttons = driver.find_elements("css selector", "#table th button")
    by_bytes = [
        f"{one['bytes']:,}" for one in sorted(report["model"]["layers"], key=lambda one: one["bytes"])
    ]
    buttons[6].click()
    assert column(driver, 6) == by_bytes
    buttons[6].click()
    assert column(driver, 6) == by_bytes[::-1]
    buttons[0].click()
    assert column(driver, 0) == ["a", "b", "c"]
    assert driver.find_element("css selector", "#table tfoot td").text == "all"


def test_the_slider_changes_the_figures(opened, report):
    driver = opened(report)
    layer = report["model"]["layers"][0]
    shown = {
        row.text for row in driver.find_elements("css selector", ".of-0 [data-per], .of-0 [data-cycles]")
    }
    for mhz in (500, 10):
        driver.execute_script(
            "const s = document.getElementById('mhz-0'); s.max = 500; s.value = arguments[0];"
            "s.dispatchEvent(new Event('input'))",
            mhz,
        )
        after = {
            row.text for row in driver.find_elements("css selector", ".of-0 [data-per], .of-0 [data-cycles]")
        }
        assert after != shown
        assert page.si(layer["cycles"]["total"] / (1e6 * mhz), "s") in after
        assert page.si(1e6 * mhz * layer["n_stored"] / layer["cycles"]["decode"], "weights/s") in after
        assert driver.find_element("css selector", ".of-0 [data-mhz]").text == f"{mhz}.0"


def test_a_click_chooses_the_layer(opened, report):
    driver = opened(report)

    def visible():
        return {one.text for one in driver.find_elements("css selector", ".of h3") if one.is_displayed()}

    assert visible() == {"a"}
    driver.find_element("css selector", "label:has(#layer-1)").click()
    assert visible() == {"b"}
    driver.find_element("css selector", "label:has(#layer-2)").click()
    assert visible() == {"c"}
    assert any("stored raw" in one.text for one in driver.find_elements("css selector", ".of-2"))


def test_filters_and_selectors(opened, report):
    driver = opened(report)

    def bars():
        found = driver.find_elements("css selector", ".of-0.size .bar")
        return {one.find_element("css selector", ".name").text for one in found if one.is_displayed()}

    rows = [row for row in report["sizes"] if row["kind"] != "dense"]
    assert bars() == {row["name"] for row in rows}
    constant = {row["name"] for row in rows if row["decoder"].startswith("constant")}
    driver.find_element("id", "constant-only").click()
    assert bars() == constant
    driver.find_element("id", "exact-only").click()
    assert bars() == {row["name"] for row in rows if row["lossless"]} & constant
    places = [one for one in driver.find_elements("css selector", ".entry .place") if one.is_displayed()]
    assert len(places) == 1
    driver.find_element("css selector", "label:has(#place-1)").click()
    (place,) = (one for one in driver.find_elements("css selector", ".entry .place") if one.is_displayed())
    assert place.find_element("css selector", "h3").text.endswith("from HBM2")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_is_wider_than_the_window(opened, report, width, dark):
    long = renamed(report, "a" * 400 + "/" + "b" * 400)
    driver = opened(long, width, dark)
    for place in range(3):
        driver.execute_script("document.getElementById(`layer-${arguments[0]}`).click()", place)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(18, 24, 30)" if dark else "rgb(255, 255, 255)")


def test_a_name_does_nothing(opened, report):
    driver = opened(renamed(report, HOSTILE))
    assert driver.title.startswith("Weightless: ")
    assert column(driver, 0)[0] == HOSTILE
    driver.find_element("css selector", "#table th button").click()
    assert "taken" not in driver.title
    csv = driver.execute_script("return JSON.parse(document.getElementById('csv').textContent)")
    assert HOSTILE.replace('"', '""') in csv


def test_without_a_program_all_can_be_read(opened, browser, report):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver = opened(report)
        driver.find_element("css selector", "label:has(#layer-1)").click()
        assert {one.text for one in driver.find_elements("css selector", ".of h3") if one.is_displayed()} == {
            "b"
        }
        cells = [one.text for one in driver.find_elements("css selector", "#table tbody td")]
        assert f"{report['model']['layers'][0]['bytes']:,}" in cells
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
