"""Runs a sweep: what was found before is kept by content, the rest goes to a pool of processes here or to Dask.

A worker that is lost costs the points that it was at, and those are tried again, each alone; where that ends another
worker, the point is a row with an error.  The table is the same wherever it was made.
"""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from weightless_hw import decoders
from weightless_sim.sweep.points import Arrays, Found, Measure, Point, evaluate, failed
from weightless_sw.files import write_atomically
from weightless_sw.progress import Progress

Evaluate = Callable[[Point, Arrays, Measure], Found]
LOST = "the worker that was at it ended, twice"
ANSWERS_WITHIN = "10s"


class SweepError(RuntimeError):
    """No worker can be had."""


def content(arrays: Arrays, measure: Measure) -> str:
    """Digest of all that a row depends on, its point left out: weights, technology, layouts, what is measured."""
    digest = hashlib.sha256(repr(measure).encode())
    for name, array in arrays.items():
        digest.update(f"{name}{array.dtype}{array.shape}".encode() + array.tobytes())
    for path in measure.liberty:
        digest.update(Path(path).read_bytes())
    for kind in decoders.BY_NAME.values():
        digest.update(f"{kind.config.GEOMETRY.layout_digest():08x}".encode())
    tech = files("weightless_sim.model").joinpath("tech")
    for name in ("grid.toml", "grid.json", "cacti7.csv"):
        digest.update(tech.joinpath(name).read_bytes())
    return digest.hexdigest()


def sweep(
    arrays: Arrays,
    points: Sequence[Point],
    measure: Measure,
    folder: Path,
    progress: Progress,
    *,
    jobs: int = 1,
    scheduler: str = "",
    function: Evaluate = evaluate,
) -> list[Found]:
    """A row for each of ``points``, in their order; rows are kept in ``folder`` and taken from there.

    ``jobs`` processes, or the workers of the Dask ``scheduler``.  Raises SweepError where that does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = content(arrays, measure)
    paths = [folder / f"{point.key(about)}.json" for point in points]
    rows: dict[int, Found] = {k: row for k, path in enumerate(paths) if (row := _kept(path)) is not None}
    left = [(k, point) for k, point in enumerate(points) if k not in rows]
    progress(len(rows), len(points), f"{len(rows)} were there")
    run = _on_dask(scheduler) if scheduler else _here(jobs)
    for k, row in run(function, left, arrays, measure):
        rows[k] = row
        if row.error != LOST:
            write_atomically(paths[k], msgspec.json.encode(row))
        progress(len(rows), len(points), f"{row.layout}, {row.lanes} lanes")
    return [rows[k] for k in range(len(points))]


def _kept(path: Path) -> Found | None:
    """A row that was found before; None for a file that is not there, or not whole."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=Found)
    return None


Numbered = Sequence[tuple[int, Point]]
Run = Callable[[Evaluate, Numbered, Arrays, Measure], Iterator[tuple[int, Found]]]

# Of a worker's process: what every point needs is sent to it once.
_shared: dict[str, Any] = {}


def _begin(function: Evaluate, arrays: Arrays, measure: Measure) -> None:
    _shared.update(function=function, arrays=arrays, measure=measure)


def _one(point: Point) -> Found:
    found: Found = _shared["function"](point, _shared["arrays"], _shared["measure"])
    return found


Ask = Callable[[Numbered], Any]  # a generator of rows that returns the points whose worker was lost


def _twice(ask: Ask, left: Numbered) -> Iterator[tuple[int, Found]]:
    """Rows of all points; those that were lost once more, each alone, so that none goes down with another's worker."""
    lost = yield from ask(left)
    for k, point in lost:
        if (yield from ask([(k, point)])):
            yield k, failed(point, LOST)


def _here(jobs: int) -> Run:
    """In processes of this machine."""

    def run(
        function: Evaluate, left: Numbered, arrays: Arrays, measure: Measure
    ) -> Iterator[tuple[int, Found]]:
        return _twice(lambda some: _pool(min(jobs, len(some)), function, some, arrays, measure), left)

    return run


def _pool(
    jobs: int, function: Evaluate, left: Numbered, arrays: Arrays, measure: Measure
) -> Any:  # a generator of rows that returns what was lost
    """Points in a pool; those that were not through when one of its processes ended are returned."""
    if not left:
        return []
    context = multiprocessing.get_context("spawn")  # threads of numba do not outlive a fork
    with ProcessPoolExecutor(jobs, context, _begin, (function, arrays, measure)) as pool:
        futures = {pool.submit(_one, point): (k, point) for k, point in left}
        lost = []
        for future in as_completed(futures):
            try:
                yield futures[future][0], future.result()
            except BrokenProcessPool:
                lost.append(futures[future])
    return sorted(lost, key=lambda numbered: numbered[0])


def _on_dask(scheduler: str) -> Run:
    """By the workers of a Dask scheduler, which gives a lost worker's points to others by itself.

    What a worker had found, or been sent, and nobody fetched is lost with it: such points are asked for again.
    """

    def run(
        function: Evaluate, left: Numbered, arrays: Arrays, measure: Measure
    ) -> Iterator[tuple[int, Found]]:
        from distributed import Client

        try:
            client = Client(scheduler, timeout=ANSWERS_WITHIN, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SweepError(f"no Dask scheduler at {scheduler}: {error}") from error
        with client:
            yield from _twice(lambda some: _asked(client, function, some, arrays, measure), left)

    return run


def _asked(
    client: Any, function: Evaluate, left: Numbered, arrays: Arrays, measure: Measure
) -> Any:  # a generator of rows that returns what was lost
    """Points on the workers of a Dask client."""
    from distributed import as_completed as completed
    from distributed.scheduler import KilledWorker

    if not left:
        return []
    shared = client.scatter(dict(arrays), broadcast=True)
    futures = {client.submit(function, point, shared, measure, pure=False): (k, point) for k, point in left}
    lost = []
    for future in completed(futures, loop=client.loop):
        k, point = futures[future]
        try:
            yield k, future.result()
        except KilledWorker:  # as often as the scheduler allows
            yield k, failed(point, LOST)
        except CancelledError:
            lost.append((k, point))
    return lost
