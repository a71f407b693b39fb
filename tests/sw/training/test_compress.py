"""The whole loop on scikit-learn's digits, at so few slot bits that the errors hurt."""

import contextlib
import dataclasses

import numpy as np
import pytest

from weightless_sw import codec, container
from weightless_sw.training import recipes


@pytest.fixture(scope="module")
def training(torch):
    """The modules, which need torch."""
    from weightless_sw.training import compress, learn, networks

    return compress, learn, networks


@pytest.fixture(scope="module")
def stored(torch):
    from weightless_sw.training import stored

    return stored


@pytest.fixture(scope="module")
def digits(training):
    """A trained dense network and its loaders."""
    _, learn, networks = training
    data = networks.NETWORKS["digits"].load(None)
    loader = learn.Batches(data.train, batch=32, seed=1)
    validation = learn.in_order(data.validation)
    network = networks.build("digits", seed=1)
    learn.train(network, loader, epochs=15, rate=1.5e-3)
    return network, loader, validation, data


@pytest.fixture(scope="module")
def compressed(training, digits):
    compress = training[0]
    network, loader, validation, _ = digits
    recipe = dataclasses.replace(
        recipes.RECIPES["digits"],
        tables={"fc1": (5, 4)},
        prune_epochs=10,
        share_epochs=4,
        retrain_epochs=10,
        rest_epochs=4,
    )
    return compress.compress(network, loader, validation, recipe)


def test_retraining_takes_back_what_the_errors_cost(compressed):
    loss = {measured.step: measured.loss for measured in compressed.history}
    assert loss["encoded fc1"] > 1.2 * loss["simplified fc1"]
    assert loss["retrained fc1"] < loss["encoded fc1"]
    assert list(loss) == ["dense", "pruned", "simplified fc1", "encoded fc1", "retrained fc1", "stored"]


def test_the_network_is_what_its_file_decodes_to(compressed, training, stored, digits, tmp_path, torch):
    _, learn, networks = training
    path = tmp_path / "digits.wls"
    container.write(path, compressed.tensors)
    read = container.read(path)
    network = networks.build("digits", seed=9)
    stored.restore(network, read)
    images = torch.from_numpy(digits[3].test.images)
    with torch.no_grad():
        assert torch.equal(network(images), compressed.network(images))
    assert learn.evaluate(network, digits[2])[1] == compressed.history[-1].n_wrong


def test_the_file_is_small_and_its_table_has_the_layers_weights(compressed):
    kinds = {name: type(tensor).__name__ for name, tensor in compressed.tensors.items()}
    assert kinds["fc1.weight"] == "EncodedTensor"
    assert kinds["fc2.weight"] == kinds["fc3.weight"] == "CodedTensor"
    dense = sum(4 * int(np.prod(tensor.shape)) for tensor in compressed.tensors.values())
    assert len(container.to_bytes(compressed.tensors)) < dense / 50
    report, weights = compressed.reports["fc1"], compressed.simplified["fc1"]
    assert 780 < np.count_nonzero(weights) == report.n_nonzero <= 800  # weights of dead units go, too
    assert report.n_false_positives > 500
    assert len(np.unique(weights[weights != 0])) <= 4


def test_for_hardware_the_rest_is_bitmasks(compressed, stored):
    """The same weights; biases as they were."""
    made = stored.for_hardware(compressed.tensors)
    assert list(made) == list(compressed.tensors)
    assert made.metadata == compressed.tensors.metadata
    layouts = {name: tensor.geometry.NAME for name, tensor in made.items() if name.endswith(".weight")}
    assert layouts.pop("fc1.weight") in ("classic", "ribbon")
    assert layouts == {"fc2.weight": "bitmask", "fc3.weight": "bitmask"}
    for name, tensor in compressed.tensors.items():
        assert np.array_equal(codec.decode(made[name]), codec.decode(tensor))
        if name.endswith(".bias"):
            assert made[name] is tensor
    assert len(container.to_bytes(made)) > len(container.to_bytes(compressed.tensors))


def test_a_run_for_hardware(training, digits):
    """Asked for at once; the state of the run is the same."""
    compress = training[0]
    network, loader, validation, _ = digits
    recipe = dataclasses.replace(
        recipes.RECIPES["digits"], prune_epochs=1, share_epochs=1, retrain_epochs=1, rest_epochs=1
    )
    made = compress.compress(network, loader, validation, recipe, hardware=True)
    assert {made.tensors[f"fc{k}.weight"].geometry.NAME for k in (2, 3)} == {"bitmask"}


def test_what_it_was_on_the_way_is_kept(compressed, training, digits):
    _, learn, networks = training
    network = networks.build("digits", seed=9)
    assert list(compressed.passed) == ["simplified fc1", "encoded fc1"]
    measured = {m.step: m.n_wrong for m in compressed.history}
    for step, state in compressed.passed.items():
        network.load_state_dict(state)
        assert learn.evaluate(network, digits[2])[1] == measured[step]
    simplified, encoded = (state["fc1.weight"].numpy() for state in compressed.passed.values())
    assert np.array_equal(simplified, compressed.simplified["fc1"])
    assert np.count_nonzero(encoded) > np.count_nonzero(simplified)


def test_biases_share_values_that_fp16_holds(compressed):
    for name in ("fc1.bias", "fc2.bias"):
        assert type(compressed.tensors[name]).__name__ == "CodedTensor"
        assert len(compressed.tensors[name].codebook) <= 16
    (bias,) = (value.numpy() for name, value in compressed.network.state_dict().items() if name == "fc1.bias")
    assert np.array_equal(bias.astype(np.float16).astype(np.float32), bias)


def test_the_network_that_was_given_is_left_alone(digits, compressed):
    assert list(digits[0].state_dict()) == list(compressed.tensors) == list(compressed.network.state_dict())
    assert all(parameter.requires_grad for parameter in digits[0].parameters())


def test_the_same_seed_gives_the_same_bytes(training, digits):
    compress, learn, _ = training
    network, _, validation, data = digits
    recipe = recipes.Recipe(
        weights={"fc1": 500}, tables={"fc1": (8, 4)}, units={"fc1": 100, "fc2": 50}, n_inputs=50,
        prune_epochs=2, share_epochs=1, retrain_epochs=1, rest_epochs=1,
    )  # fmt: skip
    files = []
    for _ in range(2):
        loader = learn.Batches(data.train, batch=32, seed=4)
        files.append(container.to_bytes(compress.compress(network, loader, validation, recipe).tensors))
    assert files[0] == files[1]


class KillError(Exception):
    """What a kill is here."""


@pytest.mark.parametrize(
    "title", ["share 4 values in fc1", "encode fc1", "retrain around fc1", "share values in the rest"]
)
def test_a_killed_run_goes_on_with_the_same_result(training, digits, tmp_path, title):
    """The run is stopped in the middle of a step; the next one begins with that step."""
    compress, learn, _ = training
    network, _, validation, data = digits
    recipe = recipes.Recipe(
        weights={"fc1": 500}, tables={"fc1": (8, 4)}, units={"fc2": 50},
        prune_epochs=1, share_epochs=1, retrain_epochs=1, rest_epochs=1,
    )  # fmt: skip

    def run(step, checkpoints):
        loader = learn.Batches(data.train, batch=32, seed=4)
        result = compress.compress(network, loader, validation, recipe, step=step, checkpoints=checkpoints)
        return container.to_bytes(result.tensors), result

    titles = []

    @contextlib.contextmanager
    def until(name):
        titles.append(name)

        def progress(done, total, text):
            if name == title and len(titles) == titles.index(title) + 1 and not resumed:
                raise KillError

        yield progress

    resumed = False
    with pytest.raises(KillError):
        run(until, tmp_path)
    resumed = True
    titles.clear()
    data_resumed, result = run(until, tmp_path)
    assert titles[0] == title
    data_whole, whole = run(None, None)
    assert data_resumed == data_whole
    assert result.history == whole.history
    assert np.array_equal(result.simplified["fc1"], whole.simplified["fc1"])
    assert not list(tmp_path.iterdir())


ROUNDS = recipes.Recipe(
    rounds=(recipes.Round(3, 900, 2e-3), recipes.Round(2, 700, grouped=("fc1",)), recipes.Round(1)),
    bits={"fc1": 8.5, "fc2": 6.5, "fc3": 5.5}, units={"fc1": 90, "fc2": 40}, permute=True, balance=("fc1",),
    tables={"fc1": (8, 2)}, n_tables=3, biases={"fc1": 1, "fc2": 0, "fc3": 0}, codes={"fc3": 6}, layout="ribbon",
    share_epochs=1, retrain_epochs=1, rest_epochs=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def by_rounds(training, digits, tmp_path_factory):
    """A run by budgets, in a narrow network, its units moved; and the folder of its steps."""
    compress, learn, _ = training
    network, _, validation, data = digits
    folder = tmp_path_factory.mktemp("steps")
    loader = learn.Batches(data.train, batch=32, max_shift=1, cross=True, seed=4)
    return compress.compress(network, loader, validation, ROUNDS, checkpoints=folder, keep=True), folder


def test_a_network_pruned_by_budgets_is_what_its_file_decodes_to(
    by_rounds, training, stored, digits, tmp_path, torch
):
    _, learn, networks = training
    result = by_rounds[0]
    assert [m.step for m in result.history] == [
        "dense", "round 1", "round 2", "pruned", "simplified fc1", "encoded fc1", "retrained fc1", "stored"
    ]  # fmt: skip
    assert set(result.tensors) == {"fc1.weight", "fc1.bias", "fc2.weight", "fc3.weight"}
    assert result.tensors.metadata == {"zero": "*.bias"}
    assert len(result.tensors["fc1.bias"].codebook) == 1
    assert len(result.tensors["fc3.weight"].codebook) <= 6
    container.write(tmp_path / "x.wls", result.tensors)
    network = networks.build("digits", seed=9)
    assert stored.restore(network, container.read(tmp_path / "x.wls")) == ["fc2.bias", "fc3.bias"]
    images = torch.from_numpy(digits[3].test.images)
    with torch.no_grad():
        assert torch.equal(network(images), result.network(images))
    measured = {m.step: m for m in result.history}
    assert measured["dense"].n_wrong == learn.evaluate(digits[0], digits[2])[1]
    for step, state in result.passed.items():
        network.load_state_dict(state)
        assert learn.evaluate(network, digits[2])[1] == measured[step].n_wrong
    assert measured["stored"].n_wrong == learn.evaluate(result.network, digits[2])[1]


def test_later_rounds_prune_the_others_around_a_table(by_rounds, training, digits):
    """The layers that they name to their budget; the table, and what it stores, stays."""
    network, _, validation, data = digits
    recipe = dataclasses.replace(ROUNDS, later=(recipes.Round(2, 100),), later_bits={"fc2": 6.5, "fc3": 5.5})
    loader = training[1].Batches(data.train, batch=32, max_shift=1, cross=True, seed=4)
    result = training[0].compress(network, loader, validation, recipe, checkpoints=by_rounds[1])
    assert [m.step for m in result.history][-3:] == ["retrained fc1", "later round 1", "stored"]
    before, after = by_rounds[0].tensors, result.tensors
    assert np.array_equal(codec.decode(before["fc1.weight"]), codec.decode(after["fc1.weight"]))
    taken = sum(
        bits * np.count_nonzero(codec.decode(after[f"{name}.weight"]))
        for name, bits in recipe.later_bits.items()
    )
    assert 0.9 * 8 * 100 < taken <= 8 * 100


def test_live_units_lie_in_front_and_what_they_keep_in_the_budget(by_rounds):
    result = by_rounds[0]
    fc1 = result.simplified["fc1"]
    fc2 = codec.decode(result.tensors["fc2.weight"])
    fc3 = codec.decode(result.tensors["fc3.weight"])
    bits = ROUNDS.bits
    taken = sum(bits[f"fc{k}"] * np.count_nonzero(w) for k, w in enumerate((fc1, fc2, fc3), 1))
    assert 0.9 * 8 * 700 < taken <= 8 * 700
    for rows, readers in ((fc1, fc2), (fc2, fc3)):
        live = (rows.any(1) & readers.any(0)).nonzero()[0]
        assert live.tolist() == list(range(len(live)))
        counts = ((rows != 0).sum(1) + (readers != 0).sum(0))[: len(live)]
        assert counts.tolist() == sorted(counts, reverse=True)


def test_where_units_were_is_known(by_rounds, digits):
    """With its units where they were a layer still goes with what it was pruned from; moved it does not."""
    result, dense = by_rounds[0], digits[0].state_dict()["fc1.weight"].numpy()
    unmoved, moved = result.unmoved["fc1"], result.simplified["fc1"]
    assert np.array_equal(np.sort(unmoved.ravel()), np.sort(moved.ravel()))
    assert not np.array_equal(unmoved, moved)
    alike = [np.mean(np.sign(one[one != 0]) == np.sign(dense[one != 0])) for one in (unmoved, moved)]
    assert alike[0] > 0.9
    assert alike[1] < 0.75


def test_a_recipe_that_begins_alike_goes_on_from_there(by_rounds, training, digits):
    """Its first steps are not done again, and what comes of it is what comes without them."""
    compress, learn, _ = training
    network, _, validation, data = digits
    folder = by_rounds[1]
    recipe = dataclasses.replace(ROUNDS, tables={"fc1": (7, 4)})
    files, titles = [], []

    @contextlib.contextmanager
    def noted(title):
        titles.append(title)
        yield lambda *_: None

    for checkpoints in (folder, None):
        loader = learn.Batches(data.train, batch=32, max_shift=1, cross=True, seed=4)
        result = compress.compress(network, loader, validation, recipe, step=noted, checkpoints=checkpoints)
        files.append(container.to_bytes(result.tensors))
    assert files[0] == files[1]
    assert titles[0] == "share 4 values in fc1"
    assert titles.count("prune to 900 bytes, round 1") == 1


def test_two_tables_are_not_made_in_a_narrow_network(by_rounds, training, stored, digits, torch):
    """Their errors might meet in units that are left out; and nothing is taken up from a narrow network's steps."""
    compress, learn, networks = training
    network, _, validation, data = digits
    recipe = dataclasses.replace(
        ROUNDS, rounds=ROUNDS.rounds[:1], tables={"fc1": (7, 4), "fc2": (7, 4)}, n_tables=1
    )
    loader = learn.Batches(data.train, batch=32, max_shift=1, cross=True, seed=4)
    result = compress.compress(network, loader, validation, recipe, checkpoints=by_rounds[1])
    kinds = [type(result.tensors[f"fc{k}.weight"]).__name__ for k in (1, 2, 3)]
    assert kinds == ["EncodedTensor", "EncodedTensor", "CodedTensor"]
    fresh = networks.build("digits", seed=9)
    stored.restore(fresh, result.tensors)
    images = torch.from_numpy(data.test.images)
    with torch.no_grad():
        assert torch.equal(fresh(images), result.network(images))


def test_of_tables_of_one_size_the_one_of_least_loss_is_taken(by_rounds, training, digits, monkeypatch):
    """Every table that was tried has the same keys and another place for its errors."""
    compress, learn, _ = training
    network, _, validation, data = digits
    evaluate, hold = learn.evaluate, compress._Run._hold
    held, losses = [], []  # seeds, and what is measured first with each

    def noted(*arguments):
        found = evaluate(*arguments)
        if len(losses) < len(held):
            losses.append(found[0])
        return found

    def noted_hold(run, layer, tensor):
        hold(run, layer, tensor)
        held.append(tensor.geometry.seed)

    monkeypatch.setattr(compress.learn, "evaluate", noted)
    monkeypatch.setattr(compress._Run, "_hold", noted_hold)
    recipe = dataclasses.replace(ROUNDS, n_tables=6)
    loader = learn.Batches(data.train, batch=32, max_shift=1, cross=True, seed=4)
    result = compress.compress(network, loader, validation, recipe, checkpoints=by_rounds[1])
    *tried, taken = held
    assert len(set(tried)) == len(tried) > 1
    assert taken == tried[int(np.argmin(losses[:-1]))]
    assert result.tensors["fc1.weight"].geometry.seed == taken


RUNS = recipes.Recipe(
    weights={"fc1": 3_000, "fc2": 600}, tables={"fc1": (6, 4)}, runs=2, run_epochs=2, chunk_log2=13, layout="ribbon",
    n_tables=2, prune_epochs=4, share_epochs=1, retrain_epochs=1, rest_epochs=1,
)  # fmt: skip


def _run_by_run(training, digits, recipe=RUNS, **options):
    network, _, validation, data = digits
    loader = training[1].Batches(data.train, batch=32, seed=4)
    return training[0].compress(network, loader, validation, recipe, **options)


@pytest.fixture(scope="module")
def run_by_run(training, digits, tmp_path_factory):
    """A layer of which the first chunks are frozen while the others are trained; its tables, and its steps' folder."""
    made, once_more = [], training[0].tables.once_more
    folder = tmp_path_factory.mktemp("runs")

    def noted(weights, tensor):
        again = once_more(weights, tensor)
        made.extend((tensor, again[0]))
        return again

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training[0].tables, "once_more", noted)
        return _run_by_run(training, digits, checkpoints=folder, keep=True), made, folder


def test_chunks_that_are_frozen_stay_and_the_others_are_trained(
    run_by_run, training, digits, stored, torch, tmp_path
):
    result, (first, last), _ = run_by_run
    table = result.tensors["fc1.weight"]
    assert np.array_equal(last.table, table.table)
    chunks = list(table.geometry.chunks(table.table.tolist()))
    assert len(chunks) > 1
    behind = chunks[-(-len(chunks) // 2) - 1].end
    assert np.array_equal(first.table[:behind], table.table[:behind])
    assert not np.array_equal(first.table[behind:], table.table[behind:])
    assert [m.step for m in result.history] == [
        "dense", "pruned", "simplified fc1", "50% of fc1", "encoded fc1", "retrained fc1", "stored"
    ]  # fmt: skip
    weights = result.simplified["fc1"]
    assert np.count_nonzero(weights) == result.reports["fc1"].n_nonzero > 2_900
    assert np.array_equal(codec.decode(table)[weights != 0], weights[weights != 0])
    container.write(tmp_path / "x.wls", result.tensors)
    network, images = training[2].build("digits", seed=9), torch.from_numpy(digits[3].test.images)
    stored.restore(network, container.read(tmp_path / "x.wls"))
    with torch.no_grad():
        assert torch.equal(network(images), result.network(images))


def test_runs_of_chunks_go_on_after_a_kill(run_by_run, training, digits):
    """From the last run's state comes what comes without a stop."""
    recipe = dataclasses.replace(RUNS, retrain_epochs=2)
    went_on = _run_by_run(training, digits, recipe, checkpoints=run_by_run[2])
    again = dataclasses.replace(RUNS, rest_rate=RUNS.rest_rate / 2)
    for one in (recipe, again):
        files = [
            container.to_bytes(_run_by_run(training, digits, one, checkpoints=folder).tensors)
            for folder in (run_by_run[2], None)
        ]
        assert files[0] == files[1]
    assert went_on.history[:5] == run_by_run[0].history[:5]


def test_frozen_chunks_that_change_are_an_error(training, digits, monkeypatch):
    compress, _, _ = training
    encode = compress.tables.codec.encode

    def other_seed(weights, **options):
        return encode(weights, **options | {"first_seed": options.get("first_seed", 0) + 1})

    once_more = compress.tables.once_more

    def planted(weights, tensor):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compress.tables.codec, "encode", other_seed)
            return once_more(weights, tensor)

    monkeypatch.setattr(compress.tables, "once_more", planted)
    with pytest.raises(RuntimeError, match="fc1: chunks that were frozen decode to something else"):
        _run_by_run(training, digits)


@pytest.mark.parametrize("change", [{"layout": "auto"}, {"tables": {"fc1": None}}])
def test_runs_are_of_a_ribbon_that_is_named(training, digits, change):
    with pytest.raises(ValueError, match="names its layout, ribbon, and t and K"):
        _run_by_run(training, digits, dataclasses.replace(RUNS, **change))


def test_auto_takes_the_smallest_within_the_limit(training, digits, monkeypatch):
    compress, learn, _ = training
    monkeypatch.setattr(compress, "CANDIDATE_CODES", (4, 8))
    monkeypatch.setattr(compress, "CANDIDATE_BITS", (4, 6))
    network, _, validation, data = digits
    results = []
    for limit in (1.0, -1.0):
        recipe = recipes.Recipe(
            weights={"fc1": 500}, tables={"fc1": None}, prune_epochs=1, share_epochs=1, retrain_epochs=1,
            rest_epochs=1, choice_epochs=1, error_limit=limit, layout="ribbon", order="rows",
        )  # fmt: skip
        loader = learn.Batches(data.train, batch=64, seed=4)
        results.append(compress.compress(network, loader, validation, recipe))
    loose, strict = results
    pairs = [(c.slot_bits, c.n_codes) for c in loose.candidates]
    assert pairs == [(6, 4), (8, 4), (7, 8), (9, 8)]
    by_pair = {(c.slot_bits, c.n_codes): c for c in loose.candidates}
    assert by_pair[loose.tables["fc1"]].n_bytes == min(c.n_bytes for c in loose.candidates)
    by_pair = {(c.slot_bits, c.n_codes): c for c in strict.candidates}
    assert by_pair[strict.tables["fc1"]].error == min(c.error for c in strict.candidates)
    for result in results:
        geometry = result.tensors["fc1.weight"].geometry
        assert (geometry.slot_bits, geometry.n_codes) == result.tables["fc1"]
        assert [m.step for m in result.history][1:5] == [
            "pruned", "simplified fc1", "encoded fc1", "retrained fc1"
        ]  # fmt: skip


def test_a_broken_checkpoint_counts_as_none(torch, tmp_path):
    from weightless_sw.training.checkpoint import Checkpoint

    kept = Checkpoint(tmp_path, "x")
    kept.save({"a": torch.ones(2), "n": 3})
    assert kept.load()["n"] == 3
    assert Checkpoint(tmp_path, "y").load() is None
    data = kept.path.read_bytes()
    for broken in (b"", data[:-1] + b"x", data[: len(data) // 2], b"rubbish"):
        kept.path.write_bytes(broken)
        assert kept.load() is None
    assert Checkpoint(None, "x").load() is None


def test_a_file_of_another_network_is_refused(compressed, training, stored):
    _, _, networks = training
    with pytest.raises(ValueError, match="these are not the tensors of this network"):
        stored.restore(networks.build("lenet300", seed=1), compressed.tensors)


def test_four_lines_for_a_network_of_ones_own(torch, tmp_path):
    """A convolutional network, loaders of torch's own; a state dict goes in and comes out."""
    import weightless_sw as wl

    torch.manual_seed(0)
    images = torch.rand(240, 1, 8, 8)
    data = torch.utils.data.TensorDataset(images, (images.mean((1, 2, 3)) > 0.5).long())
    train_loader, validation_loader = (torch.utils.data.DataLoader(data, batch_size=40) for _ in range(2))
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(216, 40), torch.nn.ReLU(), torch.nn.Linear(40, 2),
    )  # fmt: skip

    recipe = recipes.Recipe(
        weights={"4": 400, "0": 40}, tables={"4": (8, 4)}, units={"4": 30},
        prune_epochs=3, share_epochs=1, retrain_epochs=1, rest_epochs=1,
    )  # fmt: skip
    result = wl.compress(network, train_loader, validation_loader, recipe)
    wl.write(tmp_path / "network.wls", result.tensors)
    wl.restore(network, wl.read(tmp_path / "network.wls"))

    network.eval()
    with torch.no_grad():
        assert torch.equal(network(images), result.network(images))
    assert int((network[4].weight != 0).any(1).sum()) <= 30
    wl.save_tensors(tmp_path / "x.safetensors", {k: v.numpy() for k, v in network.state_dict().items()})
    assert set(wl.load_tensors(tmp_path / "x.safetensors")) == set(result.tensors)


def test_layers_that_are_not_there_are_named(training, digits):
    compress = training[0]
    network, loader, validation, _ = digits
    recipe = recipes.Recipe(weights={"fc1": 10, "conv": 3}, tables={})
    with pytest.raises(ValueError, match="no layer conv in the network; it has: fc1, fc2, fc3"):
        compress.compress(network, loader, validation, recipe)


NO_CHAIN = [
    "residual",
    "attention",
    "tied",
    "tied_embedding",
    "shared_module",
    "two_heads",
    "grouped",
    "recurrent",
]


@pytest.mark.parametrize("name", NO_CHAIN)
def test_networks_that_are_no_chain_are_what_their_files_decode_to(torch, tmp_path, name):
    """Branches, tied weights, one module under two names: files and networks that compute alike."""
    import branched

    import weightless_sw as wl

    torch.manual_seed(3)
    build, table, compacted, _ = branched.NETWORKS[name]
    images = torch.rand(96, 1, 8, 8)
    data = torch.utils.data.TensorDataset(images, (images.mean((1, 2, 3)) > 0.5).long())
    loaders = [torch.utils.data.DataLoader(data, batch_size=32) for _ in range(2)]
    network = build()
    layers = [
        key for key, module in network.named_modules() if type(module) in (torch.nn.Linear, torch.nn.Conv2d)
    ]
    weights = {key: max(4, network.get_submodule(key).weight.numel() // 3) for key in layers}
    if name == "tied":
        del weights["fc2"]  # it is fc1
    recipe = recipes.Recipe(
        weights=weights, tables={table: (6, 4)}, units={key: len(network.get_submodule(key).weight) * 3 // 4
        for key in compacted}, prune_epochs=3, share_epochs=1, retrain_epochs=1, rest_epochs=1,
    )  # fmt: skip
    result = wl.compress(network, *loaders, recipe)
    assert [type(tensor).__name__ for tensor in result.tensors.values()].count("EncodedTensor") == 1
    wl.write(tmp_path / "x.wls", result.tensors)
    file = wl.read(tmp_path / "x.wls")
    assert {*file, *file.metadata} == set(network.state_dict())
    assert not {*file} & {*file.metadata}
    fresh = build()
    wl.restore(fresh, file)
    for key, value in fresh.state_dict().items():
        assert torch.equal(value, result.network.state_dict()[key])
        stored = wl.decode(file[file.metadata.get(key, key)]) if key.endswith("weight") else None
        if stored is not None:
            assert np.array_equal(value.numpy(), stored)
    with torch.no_grad():
        assert torch.equal(fresh.eval()(images), result.network(images))
    for key in compacted:
        weight = result.network.get_submodule(key).weight.flatten(1)
        if key != table:  # whose dead units get false positives unless they are left out
            assert int(weight.any(1).sum()) <= recipe.units[key]


def test_what_a_file_does_not_decode_to_is_an_error(torch, digits, training, monkeypatch):
    """The planted fault: a step that changes a layer after it was encoded."""
    compress = training[0]
    network, loader, validation, _ = digits
    recipe = recipes.Recipe(
        weights={"fc1": 500},
        tables={"fc1": (8, 4)},
        prune_epochs=1,
        share_epochs=1,
        retrain_epochs=1,
        rest_epochs=1,
    )
    share_rest = compress._Run._share_rest

    def spoiled(run):
        share_rest(run)
        run.layers["fc1"].hold(run.layers["fc1"].weights * 2)

    monkeypatch.setattr(compress._Run, "_share_rest", spoiled)
    with pytest.raises(
        RuntimeError, match=r"^fc1\.weight: what the file decodes to is not what the network computes"
    ):
        compress.compress(network, loader, validation, recipe)


def _prune(torch, layer, tensor="weight"):
    from torch.nn.utils import prune

    prune.l1_unstructured(layer, tensor, amount=0.5)


def _lazy(torch, layer):
    layer.weight = torch.nn.parameter.UninitializedParameter()


def _plain(torch, layer):
    del layer.weight
    layer.weight = torch.ones(16, 16)


FOREIGN = [
    (
        _prune,
        r"^a: its weight is computed by torch\.nn\.utils\.prune; .* torch\.nn\.utils\.prune\.remove\(module, 'w",
    ),
    (
        lambda torch, a: _prune(torch, a, "bias"),
        "^a: its bias is computed by torch",
    ),
    (
        lambda torch, a: torch.nn.utils.weight_norm(a),
        r"torch\.nn\.utils\.remove_weight_norm\(module, 'weight'\)$",
    ),
    (
        lambda torch, a: torch.nn.utils.spectral_norm(a),
        r"torch\.nn\.utils\.remove_spectral_norm\(module, 'weight'\)$",
    ),
    (
        lambda torch, a: torch.nn.utils.parametrizations.weight_norm(a),
        r"^a: .* torch\.nn\.utils\.parametrize\.remove_parametrizations\(module, 'weight'\)$",
    ),
    (_lazy, "^a: its weight has no shape yet"),
    (_plain, "^a: its weight is no parameter of its own, but computed"),
]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's, of its old weight_norm
@pytest.mark.parametrize(("spoil", "message"), FOREIGN)
def test_weights_that_others_compute_are_refused_before_training(torch, spoil, message):
    import weightless_sw as wl

    network = torch.nn.Sequential()
    network.add_module("a", torch.nn.Linear(16, 16))
    network.add_module("b", torch.nn.Linear(16, 2))
    spoil(torch, network.a)
    loader = [(torch.rand(8, 16), torch.randint(0, 2, (8,)))]
    with pytest.raises(ValueError, match=message):
        wl.compress(network, loader, loader, recipes.Recipe(weights={"a": 30}, tables={"a": (6, 4)}))


def test_two_parameters_in_one_place_are_refused(torch):
    import weightless_sw as wl

    network = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 16))
    network[1].weight = torch.nn.Parameter(network[0].weight.data.T)
    loader = [(torch.rand(8, 16), torch.randint(0, 2, (8,)))]
    with pytest.raises(ValueError, match=r"^0\.weight and 1\.weight are two parameters in the same memory"):
        wl.compress(network, loader, loader, recipes.Recipe(weights={}, tables={"0": (6, 4)}))


def test_a_tied_layer_goes_by_one_name(torch):
    import branched

    import weightless_sw as wl

    loader = [(torch.rand(8, 1, 8, 8), torch.randint(0, 2, (8,)))]
    for build in (branched.tied, branched.shared_module):
        recipe = recipes.Recipe(weights={"fc2": 30}, tables={"fc1": (6, 4)})
        with pytest.raises(ValueError, match=r"^fc2 has the same weight as fc1; name it fc1 in the recipe"):
            wl.compress(build(), loader, loader, recipe)


def test_a_regression_with_a_loss_and_an_optimizer_of_ones_own(torch):
    import weightless_sw as wl

    torch.manual_seed(0)
    inputs = torch.rand(160, 12)
    data = torch.utils.data.TensorDataset(inputs, (inputs.sum(1, keepdim=True) / 6).float())
    loaders = [torch.utils.data.DataLoader(data, batch_size=32) for _ in range(2)]
    network = torch.nn.Sequential(torch.nn.Linear(12, 30), torch.nn.ReLU(), torch.nn.Linear(30, 1))
    seen = []

    def loss(outputs, wanted):
        return torch.nn.functional.mse_loss(outputs, wanted)

    def optimizer(parameters, lr):
        seen.append(lr)
        return torch.optim.SGD(parameters, lr=lr, momentum=0.9)

    recipe = recipes.Recipe(weights={"0": 120}, tables={"0": (7, 4)}, prune_epochs=4, share_epochs=1, retrain_epochs=2,
                       rest_epochs=1)  # fmt: skip
    result = wl.compress(network, *loaders, recipe, loss=loss, optimizer=optimizer)
    assert len(seen) == 4
    assert all(measured.n_wrong == 0 for measured in result.history)
    assert result.history[-1].loss < 1
    far = wl.compress(
        network, *loaders, recipe, loss=loss, metric=lambda y, x: int(((y - x).abs() > 9).sum())
    )
    assert far.history[-1].error == 0
    auto = dataclasses.replace(recipe, tables={"0": None})
    with pytest.raises(ValueError, match="t and K of a table are chosen by errors: give a metric"):
        wl.compress(network, *loaders, auto, loss=loss)
