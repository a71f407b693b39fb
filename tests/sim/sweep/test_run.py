"""Where points run: the same table in one process, in two, and on the workers of a cluster; what was found is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import sweeping

from weightless_sim.sweep import run as runs
from weightless_sim.sweep.points import Measure, evaluate
from weightless_sim.sweep.run import LOST, SweepError, content, sweep

HELPERS = Path(sweeping.__file__).parent


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A function that sweeps in a folder of this test."""
    monkeypatch.setenv("WEIGHTLESS_SWEEP", str(tmp_path))
    monkeypatch.setattr(sweeping, "FOLDER", tmp_path)

    def go(arrays, asked, function=sweeping.noted, folder="points", **options):
        told = []
        rows = sweep(
            arrays,
            asked,
            Measure(),
            tmp_path / folder,
            lambda *one: told.append(one),
            function=function,
            **options,
        )
        assert told[-1][:2] == (len(asked), len(asked))
        return rows

    return go


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []


@pytest.fixture(scope="module")
def expected(arrays, asked):
    return [evaluate(point, arrays, Measure()) for point in asked]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_table_is_the_same_in_one_process_and_in_two(here, arrays, asked, expected, jobs):
    rows = here(arrays, asked, jobs=jobs)
    assert rows == expected
    assert [bool(row.error) for row in rows] == [True, False, False, False] * 2


def test_what_was_found_is_not_done_again(here, arrays, asked, expected, tmp_path):
    first = here(arrays, asked[:3])
    assert len(calls(tmp_path)) == 3
    kept = sorted((tmp_path / "points").iterdir())
    kept[0].write_text("half a fi")  # a row that was cut is made again
    assert here(arrays, asked) == expected
    assert len(calls(tmp_path)) == 3 + (len(asked) - 3) + 1
    assert here(arrays, asked[2::-1]) == first[::-1]
    assert len(calls(tmp_path)) == 3 + (len(asked) - 3) + 1
    other = {name: array * 2 for name, array in arrays.items()}
    here(other, asked[:1])
    assert len(calls(tmp_path)) == 3 + (len(asked) - 3) + 2


def test_content_is_all_that_a_row_depends_on(arrays, tmp_path):
    (tmp_path / "x.lib").write_text("a")
    liberty = Measure(liberty=(str(tmp_path / "x.lib"),))
    digests = [content(arrays, Measure()), content({"a": arrays["a"]}, Measure()), content(arrays, liberty),
               content(arrays, Measure(seeds=2)), content({"c": arrays["a"], "b": arrays["b"]}, Measure())]  # fmt: skip
    (tmp_path / "x.lib").write_text("b")
    digests.append(content(arrays, liberty))
    assert len(set(digests)) == len(digests)
    assert content(arrays, Measure()) == digests[0]


def test_a_process_that_ends_costs_nothing(here, arrays, asked, expected):
    assert here(arrays, asked, sweeping.ends_once, jobs=2) == expected


def test_a_point_that_ends_every_process_is_a_row_and_the_rest_is_there(
    here, arrays, asked, expected, tmp_path
):
    rows = here(arrays, asked, sweeping.ends_always, jobs=2)
    assert [row.error == LOST for row in rows] == [point.slot_bits == 9 for point in asked]
    assert [row for row in rows if row.error != LOST] == [
        row for row, point in zip(expected, asked, strict=True) if point.slot_bits != 9
    ]
    assert here(arrays, asked) == expected  # what was lost is not kept


# On a cluster.


@pytest.fixture(scope="module")
def cluster(need, tmp_path_factory):
    """A scheduler and two workers, processes of their own: (address, folder)."""
    need("" if find_spec("distributed") else "distributed is not installed: pip install -e '.[dask]'")
    folder = tmp_path_factory.mktemp("cluster")
    paths = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {
        "PYTHONPATH": paths, "WEIGHTLESS_SWEEP": str(folder), "DASK_DISTRIBUTED__DASHBOARD__LINK": "",
    }  # fmt: skip

    def start(*words):
        command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
        with (folder / f"{words[0]}.log").open("a") as log:
            return subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    known = folder / "scheduler.json"
    processes = [
        start(
            "scheduler",
            "--port",
            "0",
            "--no-dashboard",
            "--host",
            "127.0.0.1",
            "--scheduler-file",
            str(known),
        )
    ]
    try:
        for _ in range(300):
            if known.exists():
                break
            time.sleep(0.1)
        address = json.loads(known.read_text())["address"]
        processes += [
            start("worker", address, "--nthreads", "1", "--no-dashboard", "--nanny", "--death-timeout", "60")
            for _ in range(2)
        ]
        yield address, folder
    finally:
        for process in processes[::-1]:
            os.killpg(process.pid, signal.SIGKILL)  # with those that a nanny has started
            process.wait(30)


def test_the_table_is_the_same_on_two_workers(here, arrays, asked, expected, cluster):
    address, folder = cluster
    assert here(arrays, asked, scheduler=address) == expected
    assert len(calls(folder)) == len(asked)  # nothing was done here


def test_a_worker_that_ends_costs_its_points_alone(here, arrays, asked, expected, cluster):
    address, folder = cluster
    assert here(arrays, asked, sweeping.ends_once, scheduler=address) == expected
    assert (folder / "ended").exists()


def test_a_point_that_ends_every_worker_is_a_row(here, arrays, asked, expected, cluster):
    """The one layout's, so that it is known which."""
    address, _ = cluster
    rows = here(arrays, asked[:4], sweeping.ends_always, scheduler=address)
    assert rows[:3] == expected[:3]
    assert rows[3].error == LOST


def test_no_scheduler_is_said(here, arrays, asked, monkeypatch, need):
    need("" if find_spec("distributed") else "distributed is not installed: pip install -e '.[dask]'")
    monkeypatch.setattr(runs, "ANSWERS_WITHIN", "1s")
    with pytest.raises(SweepError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1"):
        here(arrays, asked, scheduler="tcp://127.0.0.1:1")
