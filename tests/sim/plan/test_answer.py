import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_sim.model import technology
from weightless_sim.model.technology import Reference
from weightless_sim.plan import answer, network
from weightless_sim.plan.answer import Options
from weightless_sim.plan.array import Array
from weightless_sim.plan.network import Layer, Network
from weightless_sim.study.energy import fitted_gaps
from weightless_sw import codec, container, inputs

KNOWN = technology.references()


def options(**changes):
    return Options(**{"array": Array(32, 32), "clock_hz": 500e6} | changes)


def made(layers, known=KNOWN, **changes):
    """The formats of a network of these layers, by name."""
    about = answer.context(options(**changes), known)
    return {one.name: one for one in answer.formats(Network("x", layers), about)}


FC = Layer("fc", (1024, 2048), 0.1)
CONV = Layer("conv", (64, 64, 3, 3), 0.3, vectors=3136)


def test_dense_weights_by_hand():
    """12.8 GB/s at 500 MHz are 25.6 bytes a cycle; a tile has 1,024 weights."""
    found = made([FC])["dense int8"]
    n_weights, tiles = 1 << 21, 32 * 64
    (cost,) = found.layers
    assert (found.bytes, cost.rate, cost.bound) == (n_weights, pytest.approx(25.6), "DRAM")
    assert found.cycles == pytest.approx(tiles * 1024 / 25.6 + 32)
    assert found.energy[0] == found.energy[1] == pytest.approx(8 * n_weights * 8.0)
    fast = made([FC], bandwidth=1e12)["dense int8"]
    assert (fast.layers[0].bound, fast.cycles) == ("array", tiles * 32 + 32)


def test_a_layer_used_often_waits_for_the_array():
    for one in made([CONV]).values():
        assert {cost.bound for cost in one.layers} == {"array"}
    ribbon = made([CONV])["ribbon"]
    assert ribbon.decoder.lanes == 1  # 1,024 / 3,136 weights a cycle
    assert ribbon.busy


def test_layers_alike_are_counted_so_often():
    one, three = (made([dataclasses.replace(FC, count=n)]) for n in (1, 3))
    for name, found in three.items():
        assert found.bytes == 3 * one[name].bytes
        assert found.energy[1] == pytest.approx(3 * one[name].energy[1])
        assert found.cycles is None or found.cycles == pytest.approx(3 * one[name].cycles)


def test_lanes_end_with_the_layout_and_more_decoders_are_named():
    found = made([FC], array=Array(256, 256), bandwidth=1e12)
    for name, most in (("classic", 64), ("ribbon", 16)):
        assert answer.max_lanes(name) == most
        decoder = found[name].decoder
        assert (decoder.lanes, decoder.lanes_needed, decoder.more) == (most, 256, 256 // most)
        assert found[name].busy is False
    eight = made([FC], lanes=8)["ribbon"]
    assert (eight.decoder.lanes, eight.decoder.lanes_needed, eight.layers[0].bound) == (8, 32, "decoder")


def test_a_dense_stream_is_waited_for():
    """Four slots a clock at eight bits: half of the weights are keys, so eight weights at most."""
    (cost,) = made([dataclasses.replace(FC, density=0.5)])["ribbon"].layers
    assert cost.bound == "stream"
    assert cost.rate == pytest.approx(8 / 1.0065, rel=0.005)


def test_a_batch_shares_the_weights():
    alone, shared = made([FC]), made([FC], batch=64)
    for name in alone:
        assert shared[name].bytes == pytest.approx(alone[name].bytes, rel=0.001)  # rows of other lanes
    assert shared["ribbon"].decoder.lanes == 16
    assert shared["ribbon"].busy


def test_what_no_layout_holds_is_said():
    huge = made([Layer("x", (1 << 16, 1 << 15), 0.5)], lanes=1)
    assert "bank_rows must be" in huge["classic"].why_not
    assert huge["ribbon"].why_not == ""
    assert "classic" not in answer.winners(list(huge.values()), "bytes")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slot_bits": 17}, "--slot-bits is 1 to 16, not 17"),
        ({"codes": 16, "slot_bits": 4}, "--codes is 1 to 15 with 4 slot bits, not 16"),
        ({"library": "x"}, "no library is called 'x'; there are: Nangate"),
        ({"dram": "HBM9"}, "no figure of dram is called 'HBM9'"),
    ],
)
def test_what_is_not_there_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        answer.plan(Network("x", [FC]), options(**changes), KNOWN)


def test_sizes_are_those_of_the_encoders():
    """Real layers of the bundled network, encoded: tables within 4 %, as random keys; tiny ones within 10 %."""
    for name, array in inputs.load_tensors("lenet300_pruned").items():
        if array.ndim < 2:
            continue
        layer = Layer(name, array.shape, np.count_nonzero(array) / array.size)
        found = made([layer], array=Array(1, 1), codes=15, lanes=8)
        for layout in ("classic", "ribbon"):
            own = {"lanes": 8} if layout == "classic" else {}
            real, _ = codec.encode(
                array, layout=layout, order="rows", live="off", slot_bits=8, round_values=True, **own
            )
            near = 0.04 if array.size > 10_000 else 0.1
            assert found[layout].bytes == pytest.approx(container.stored_bytes(real), rel=near)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([0.01, 0.04, 0.2, 0.5, 0.9]), st.integers(0, 100))
def test_gap_codes_are_those_of_random_weights(density, seed):
    rng = np.random.default_rng(seed)
    array = np.where(rng.random((512, 512)) < density, rng.integers(1, 17, (512, 512)), 0).astype(np.float32)
    layer = Layer("x", array.shape, np.count_nonzero(array) / array.size)
    _, entries, bits = fitted_gaps(array)
    (cost,) = made([layer])["gap-coded"].layers
    assert cost.bytes == pytest.approx(bits / 8, rel=0.02)
    assert cost.logic_pj[0] == pytest.approx(11.4 * entries, rel=0.12)  # widths nearly as good


def test_who_wins_here_wins_there():
    """At each density of the list the winners are those that the formats show themselves; just below, the others."""
    about = answer.context(options(), KNOWN)
    layers = [FC, CONV]
    for metric, changes in answer.crossings(Network("x", layers), about).items():
        assert [density for density, _ in changes] == sorted(density for density, _ in changes)
        for (density, names), (_, before) in zip(changes[1:], changes, strict=False):
            for at, expected in ((density, names), (density / 1.02, before)):
                there = Network("x", [dataclasses.replace(one, density=at) for one in layers])
                assert answer.winners(answer.formats(there, about), metric, tie=answer.EQUAL) == expected


def test_what_is_as_good_ties():
    found = list(made([CONV], bandwidth=1e12).values())
    assert {"dense int8", "dense fp16", "gap-coded"} <= set(answer.winners(found, "cycles"))


def test_without_a_decoder_it_is_no_quicker_and_takes_no_less():
    found = list(made([dataclasses.replace(FC, density=0.3)]).values())
    assert answer.winners(found, "bytes") == [answer.HUFFMAN]
    assert set(answer.winners(found, "energy")) <= {one.name for one in found if one.complete}


def test_a_dram_of_ones_own():
    mine = KNOWN | {
        "mine": Reference("mine", "dram", 1.0, "pJ/bit", "me", "all"),
        "mine bandwidth": Reference("mine bandwidth", "bandwidth", 1.0, "GB/s", "me", "all"),
    }
    slow = made([FC], known=mine, dram="mine")["dense int8"]
    assert slow.layers[0].rate == pytest.approx(2.0)
    unlimited = made([FC], known={k: v for k, v in mine.items() if k != "mine bandwidth"}, dram="mine")
    assert unlimited["dense int8"].layers[0].bound == "array"


def test_energy_is_the_sum_of_its_parts():
    found = made([FC])["classic"]
    (cost,) = found.layers
    about = found.decoder.logic
    beats = cost.n_decoded / found.decoder.lanes
    assert cost.logic_pj[1] > beats * about.logic_glitches_pj
    assert cost.logic_pj[1] - cost.logic_pj[0] == pytest.approx(
        beats * (about.logic_glitches_pj - about.logic_settled_pj)
    )
    reads = beats * about.memory_pj
    assert (
        reads < cost.memory_pj < 1.2 * reads
    )  # a table is written once for each time that it is read through
    assert found.energy[0] == pytest.approx(cost.dram_pj + cost.memory_pj + cost.logic_pj[0])
    assert cost.dram_pj == pytest.approx(8 * 8.0 * found.bytes)


def test_what_lies_on_chip():
    """A classic table whole, of a ribbon the window and what comes."""
    found = made([FC, dataclasses.replace(FC, name="sparse", density=0.01)])
    dense, sparse = (cost.on_chip_bits for cost in found["classic"].layers)
    assert dense > 9 * sparse
    assert dense <= found["classic"].decoder.on_chip_bits < 1.01 * dense
    assert {cost.on_chip_bits for cost in found["ribbon"].layers} == {found["ribbon"].decoder.on_chip_bits}


def test_false_positives_are_expected():
    (cost,) = made([FC])["ribbon"].layers
    assert cost.false_positives == pytest.approx((FC.n_weights - FC.n_nonzero) / 16)


def test_all_of_it_in_one_answer():
    found = answer.plan(network.read("lenet-300-100"), options(), KNOWN)
    assert found.n_weights == 266_200
    assert set(found.winners) == set(answer.METRICS) == set(found.crossings)
    assert len(found.layer_winners) == 3
    assert found.milliseconds["ribbon"] == pytest.approx(found.named("ribbon").cycles / 500e3)
    assert {one.name for one in found.published} == {"EIE", "DECA", "EBPC", "Arm Ethos-U"}
    assert all(one.source for one in found.published)
