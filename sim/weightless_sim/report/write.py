"""A report's files: JSON, Markdown, and the pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from weightless_hw import decoders
from weightless_sim.report import plots
from weightless_sim.report.markdown import to_markdown
from weightless_sim.report.page import to_html
from weightless_sim.shown import in_picture, plain, to_json
from weightless_sim.study.result import Report
from weightless_sw.files import write_atomically

PAGE = "report.html"
Draw = Callable[[Report], Figure]
PLOTS: dict[
    str, tuple[Draw, Callable[[Report], object]]
] = {  # what draws it, and what it needs of the result
    "network.png": (plots.network, lambda result: result.model.totals.rivals),
    "sizes.png": (plots.sizes, lambda result: result.sizes),
    "false_positives.png": (plots.false_positives, lambda result: result.false_positives),
    "throughput.png": (plots.throughput, lambda result: result.runs),
    "window.png": (plots.window, lambda result: result.runs["none"].window),
    "energy.png": (plots.energy, lambda result: result.energy),
    "parts.png": (plots.parts, lambda result: result.energy),
}


def write(result: Report, folder: Path) -> list[Path]:
    """Write all files into ``folder``; returns their paths, ``report.md`` first.

    Pictures of what needs the weights are left out where they are not known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "report.md", folder / "report.json", folder / PAGE]
    write_atomically(paths[0], to_markdown(result).encode())
    write_atomically(paths[1], (to_json(result) + "\n").encode())
    write_atomically(paths[2], to_html(plain(result)).encode())
    for name, (draw, needs) in PLOTS.items():
        (folder / name).unlink(missing_ok=True)  # not one of a run before
        if needs(result):
            with plots.plain_text():
                plots.save(draw(replace(result, layer=in_picture(result.layer))), folder / name)
            paths.append(folder / name)
    decoder = result.first_decoder()
    config = decoders.configure(decoder.layout, **decoder.config)
    with plots.plain_text():
        plots.save(plots.data_path(config), folder / "datapath.svg")
    return [*paths, folder / "datapath.svg"]
