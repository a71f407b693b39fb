"""One study of a small model on the real simulator, and a browser, for the tests of study, report and sweep."""

import contextlib
import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from weightless_sim.cosim import runner
from weightless_sim.study import run as study
from weightless_sw import inputs


@contextlib.contextmanager
def quiet(title):
    """Steps without a display."""
    yield lambda done, total, text: None


@pytest.fixture(scope="session")
def step():
    """Steps of a study without a display."""
    return quiet


@pytest.fixture(scope="session")
def small_model(tmp_path_factory, sparse_layer):
    path = tmp_path_factory.mktemp("model") / "small.npz"
    arrays = {"a": sparse_layer((40, 60), 200), "b": sparse_layer((10, 40), 40, seed=1), "c": np.arange(3.0)}
    inputs.save_tensors(path, arrays)
    return path


@pytest.fixture(scope="session")
def result(tmp_path_factory, need, small_model):
    """A whole study of a small model, on Icarus: Verilator would build for half a minute in each process."""
    need(runner.missing("icarus"))
    build = tmp_path_factory.mktemp("study")
    return study.run(
        study.Options(
            model=str(small_model),
            sizes={"layout": "classic", "order": "rows", "lanes": 8, "slot_bits": 8},
            build=build,
            simulator="icarus",
        ),
        quiet,
    )


@pytest.fixture(scope="session")
def browser(need):
    """Chromium without a screen, and without what it asks of the network."""
    tools = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    need(f"no {' and no '.join(tools)}: apt-get install chromium chromium-driver" if tools else "")
    need("" if find_spec("selenium") else "selenium is not installed: pip install -e '.[dev]'")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for name in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-sync",
                 "disable-component-update", "no-first-run", "disable-quic"):  # fmt: skip
        options.add_argument(f"--{name}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(browser, tmp_path):
    """A function that opens a page in a window so wide, light or dark; nothing may be said on its console."""

    def opened(html, width=1200, dark=False):
        path = tmp_path / "page.html"
        path.write_text(html)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        browser.get(path.as_uri())
        return browser

    yield opened
    assert [line for line in browser.get_log("browser") if line["level"] != "INFO"] == []
