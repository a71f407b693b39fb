"""The runs of a study: each decoder's tables through the RTL, beside what the cycle model says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from weightless_hw.config import DecoderConfig
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import CosimResult, Scenario, stall_patterns
from weightless_sim.folders import Folders
from weightless_sim.model.cycles import by_state, estimate, predict
from weightless_sim.study.result import Run, RunKind, Window
from weightless_sim.study.subject import Subject
from weightless_sw import records
from weightless_sw.progress import Step
from weightless_sw.records import resident_record

WINDOW_POINTS = 1000
STALLS = ("none", "source", "sink", "both", "long stall")  # of the stall matrix; those that show in a plot

Groups = Mapping[
    DecoderConfig, list[str]
]  # decoders, each with the names of its tables; the largest table's first


@dataclass(frozen=True)
class Plan:
    """A run: what is sent to which decoder, and how it is called."""

    name: str
    kind: RunKind
    config: DecoderConfig
    layers: list[str]
    sent: list[bytes]
    stall: str  # of stall_patterns
    count: bool  # events, too: it takes longer, and the tests do it under every stall


def _plans(groups: Groups, about: Subject) -> Iterator[Plan]:
    """The tables of each decoder in turn without a stall, then the largest one through the stall patterns.

    In turn means: all of them, a single one twice, and then the last one resident, where a table stays.  Events are
    counted once per decoder.
    """
    by_name = {name: records.to_record(tensor) for name, tensor in about.simulated.items()}
    for k, (config, names) in enumerate(groups.items()):
        again = names if len(names) > 1 else 2 * names
        sent, layers = [by_name[name] for name in again], list(again)
        if config.keeps_table():
            sent, layers = [*sent, resident_record(sent[-1])], [*layers, f"{again[-1]} (resident)"]
        name = f"{RunKind.IN_TURN}, {config.name}" if k else str(RunKind.IN_TURN)
        yield Plan(name, RunKind.IN_TURN, config, layers, sent, "none", count=k > 0)
        for stall in STALLS if not k else ():
            largest = [about.layer], [by_name[about.layer]]
            yield Plan(stall, RunKind.STALL, config, *largest, stall, count=stall == "none")


def simulate(groups: Groups, about: Subject, simulator: str, folders: Folders, step: Step) -> dict[str, Run]:
    """The runs, by name; those of one decoder in one simulator, a reset before each.  Raises SimulationError."""
    patterns = stall_patterns()
    runs = {}
    for config, of_one in groupby(_plans(groups, about), key=lambda plan: plan.config):
        plans = list(of_one)
        scenarios = [
            Scenario(config=config, records=plan.sent, source=source, sink=sink, count=plan.count)
            for plan in plans
            for source, sink in [patterns[plan.stall]]
        ]
        with step(f"simulate {config.lanes} lanes: {', '.join(plan.name for plan in plans)}") as progress:
            results = runner.run_all(
                scenarios, "study", simulator=simulator, progress=progress, folders=folders
            )
        for plan, scenario, result in zip(plans, scenarios, results, strict=True):
            runs[plan.name] = _run_entry(plan, scenario, result, about)
    return runs


def _estimate(plan: Plan, scenario: Scenario, about: Subject) -> float | None:
    """The cycles that can be told without the record, where they depend on it."""
    if plan.stall != "none" or len(plan.layers) > 1 or plan.layers[0] not in about.reports:
        return None
    geometry = scenario.loads[0].geometry
    return estimate(plan.config, geometry, about.reports[plan.layers[0]].n_nonzero / geometry.n_weights)


def _window(plan: Plan, config: DecoderConfig, about: Subject, cycles: list[int]) -> Window | None:
    """Where the beats that were taken in these cycles read the table, WINDOW_POINTS of them at most."""
    tensor = about.tables[about.layer]
    found = (
        config.window(tensor.geometry, tensor.table.tolist(), len(cycles)) if plan.name == "none" else None
    )
    if found is None:
        return None
    step = -(-len(cycles) // WINDOW_POINTS)
    return Window(cycles=cycles[::step], words=found[1][::step], reads=found[0])


def _run_entry(plan: Plan, scenario: Scenario, result: CosimResult, about: Subject) -> Run:
    model = predict(scenario.config, scenario.loads, scenario.source, scenario.sink)
    last = result.layers[-1]
    return Run(
        kind=plan.kind,
        decoder=scenario.config.name,
        layers=plan.layers,
        stall=plan.stall,
        n_weights=result.n_weights,
        n_mismatches=result.n_mismatches,
        cycles_rtl_sim=last.end,
        cycles_cycle_model=model[-1].end,
        cycles_estimated=_estimate(plan, scenario, about),
        transfers=result.layers,
        events=result.events,
        window=_window(plan, scenario.config, about, result.output_transfers),
        weights_per_cycle=scenario.loads[-1].geometry.n_weights / last.decode_cycles,
        states=by_state(result.layers),
    )
