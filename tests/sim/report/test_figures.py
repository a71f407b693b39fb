"""The pictures of the docs are those that `make figures` draws."""

from pathlib import Path

import numpy as np
import pytest

from weightless_sim.report import figures, rivals, studies
from weightless_sw.spec import ribbon

DOCS = Path("docs")


@pytest.mark.parametrize("draw", [figures.window, figures.dial, *studies.PICTURES])
def test_the_committed_picture_has_the_same_words(draw, tmp_path):
    """Its texts, axes and the numbers on them; shapes depend on the version of matplotlib."""
    path = tmp_path / f"{draw.__name__}.svg"
    draw(path)
    same_words(path)


def test_the_committed_pictures_of_plans_have_the_same_words(tmp_path):
    paths = figures.plans(tmp_path)
    assert [path.name for path in paths] == ["plan-roofline.svg", "plan-energy.svg", "plan-lanes.svg"]
    for path in paths:
        same_words(path)


def test_the_committed_picture_of_rivals_has_the_same_words(tmp_path):
    rivals.lanes(tmp_path / "rivals.svg")
    same_words(tmp_path / "rivals.svg")


def same_words(path):
    """Of a picture that was drawn, and of the committed one of its name."""
    new, committed = (
        sorted(line.split(">")[1] for line in text.splitlines() if "<text" in line)
        for text in (path.read_text(), (DOCS / path.name).read_text())
    )
    assert new == committed
    assert len(new) > 10


def test_the_window_reaches_what_it_says():
    """What is drawn is the start of every group, of whole eight words."""
    chunk = figures.first_chunk(figures.layer(), dead_groups=16)
    starts = np.fromiter(chunk.starts(), np.int64)
    assert len(starts) == 235_200 // ribbon.LANES
    alive = starts[starts >= 0]
    assert np.all(np.diff(alive) >= 0)
    assert np.max(np.diff(alive)) <= 1 + ribbon.MAX_ADVANCE
    assert np.count_nonzero(starts < 0) > 1000


def test_a_bursty_layer_is_as_dense():
    weights = figures.bursty()
    assert weights.shape == (300, 784)
    assert np.count_nonzero(weights) == 9408
