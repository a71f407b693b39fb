"""The cocotb bench of the AXI shell, run inside the simulator: cocotbext-axi drives it and watches the handshakes.

What must come out is the golden model's.  Environment: WEIGHTLESS_FRAMES names a file with the decoder's
configuration and frames by name; WEIGHTLESS_PAUSES, "1" or "", says whether every channel pauses at random.
"""

import json
import os
import random
import struct
from functools import partial
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from cocotbext.axi.axil_channels import AxiLiteARTransaction, AxiLiteAWTransaction, AxiLiteWTransaction

from weightless_hw import decoders
from weightless_hw.registers import ADDRESS, IDENTITY, REGISTERS, SOFT_RESET, LoadError, Phase
from weightless_sim.cosim.golden import GoldenModel
from weightless_sim.cosim.scenario import LAST

limited = partial(cocotb.test, timeout_time=1, timeout_unit="ms")  # a bench that hangs ends

GIVEN = json.loads(Path(os.environ["WEIGHTLESS_FRAMES"]).read_text())
CONFIG = decoders.configure(GIVEN["layout"], **GIVEN["config"])
FRAMES = GIVEN["frames"]
REFUSED = {name: LoadError(error) for name, error in GIVEN["refused"].items()}


def pauses(seed):
    """A pause generator, or none."""
    rng = random.Random(seed)
    while True:
        yield rng.random() < 0.4


class Bench:
    """The shell with a source, a sink and a master, and the golden model beside them."""

    def __init__(self, dut):
        self.dut = dut
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **reset)
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, **reset)
        self.model = GoldenModel(CONFIG)
        write, read = self.lite.write_if, self.lite.read_if
        channels = (self.source, self.sink, write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                    read.r_channel)  # fmt: skip
        for seed, channel in enumerate(channels if os.environ["WEIGHTLESS_PAUSES"] else ()):
            channel.set_pause_generator(pauses(seed))

    async def start(self):
        """Clock, and a cycle of reset: the streams' ends take part in it."""
        Clock(self.dut.aclk, 10, unit="ns").start(start_high=False)
        await self.reset()

    async def reset(self):
        """One cycle, from falling edge to falling edge."""
        await FallingEdge(self.dut.aclk)
        self.dut.aresetn.value = 0
        await FallingEdge(self.dut.aclk)
        assert not int(self.dut.s_axis_tready.value), "s_axis is ready under reset"
        self.dut.aresetn.value = 1
        self.model = GoldenModel(CONFIG)

    def send(self, name):
        """Offer a frame; (what must come of it, as :meth:`receive` has it, whether all of it), or None where nothing
        does."""
        words, beats, failed = FRAMES[name], [], False
        for word in words:
            beats += self.model.take(word)
            failed |= self.model.failed
        data = b"".join(struct.pack("<I", word & LAST - 1) for word in words)
        self.source.send_nowait(AxiStreamFrame(data))
        if not self.model.record_ended and not failed:
            return None
        lanes, bits, came = CONFIG.lanes, CONFIG.value_bits, []
        for beat in beats:
            values = (beat & (1 << lanes * bits) - 1).to_bytes(lanes * bits // 8, "little")
            came += zip(
                values,
                [beat >> lanes * bits + byte * 8 // bits & 1 for byte in range(len(values))],
                strict=True,
            )
        return came, not failed

    async def receive(self):
        """Of each byte of a frame (what it is, whether it is kept), a last beat without lanes left out."""
        frame = await self.sink.recv(compact=False)
        came, n_bytes = (
            list(zip(frame.tdata, frame.tkeep, strict=True)),
            CONFIG.lanes * CONFIG.value_bits // 8,
        )
        self.is_closed = not any(keep for _, keep in came[-n_bytes:])
        return came[:-n_bytes] if self.is_closed else came

    async def check(self, names):
        """Send these frames at once, one behind the other, and compare what comes."""
        expected = [made for name in names if (made := self.send(name)) is not None]
        for number, (values, whole) in enumerate(expected):
            found = await self.receive()
            if whole or not self.is_closed:
                assert found == values, f"frame {number} of {names}"
            assert self.is_closed <= (not whole), f"frame {number} of {names} ends with a beat without lanes"
            assert values[: len(found)] == found, f"frame {number} of {names}"
        while not (self.source.empty() and self.source.idle()):  # a refused one may be the last
            await RisingEdge(self.dut.aclk)

    async def read(self, name):
        """A register."""
        response = await self.lite.read(4 * ADDRESS[name], 4)
        assert response.resp == AxiResp.OKAY
        return int.from_bytes(response.data, "little")

    async def write(self, name, value):
        """A register."""
        response = await self.lite.write(4 * ADDRESS[name], value.to_bytes(4, "little"))
        assert response.resp == AxiResp.OKAY

    async def write_raw(self, name, value, strobes):
        """A register, the strobes chosen; bytes without one are as given."""
        channels = self.lite.write_if
        await channels.aw_channel.send(AxiLiteAWTransaction(awaddr=4 * ADDRESS[name], awprot=0))
        await channels.w_channel.send(AxiLiteWTransaction(wdata=value, wstrb=strobes))
        assert (await channels.b_channel.recv()).bresp == AxiResp.OKAY


async def started(dut):
    bench = Bench(dut)
    await bench.start()
    return bench


@limited()
async def back_to_back(dut):
    """Records one behind the other, a loaded table once more, every count."""
    bench = await started(dut)
    names = ["good", *(name for name in FRAMES if name.startswith("tile")), "tail", "again", "good", "empty"]
    await bench.check(names)
    assert await bench.read("records") == len(names)
    assert await bench.read("errors") == 0
    assert not int(dut.error.value)


@limited()
async def refused_records(dut):
    """Each in front of a good one: only its bit is set, the next one decodes, a write clears it."""
    bench = await started(dut)
    for name, error in REFUSED.items():
        before = ["CRC"] if error is LoadError.NOT_RESIDENT else []
        await bench.check([*before, name, "good"])
        found = LoadError(await bench.read("errors"))
        assert found == error | (LoadError.CRC if before else LoadError(0)), (name, found)
        assert int(dut.error.value)
        await bench.write("errors", int(found))
        assert await bench.read("errors") == 0
        assert not int(dut.error.value)


@limited()
async def reset_in_mid_record(dut):
    """While a record is loaded, and while beats come; what comes then is as after power-up."""
    bench = await started(dut)
    for n_cycles in (3, 20, 60, 150, 300):
        bench.send("good")
        for _ in range(n_cycles):
            await RisingEdge(dut.aclk)
        await bench.reset()
        bench.sink.clear()
        bench.source.clear()
        await bench.check(["tail", "good"])
        assert await bench.read("records") == 2
        assert await bench.read("errors") == 0


@limited()
async def soft_reset_between_records(dut):
    """Counts stay, the loaded table is forgotten."""
    bench = await started(dut)
    await bench.check(["good"])
    await bench.write("control", SOFT_RESET)
    bench.model.loaded = None
    await bench.check(["again", "good"])
    expected = (LoadError.NOT_RESIDENT, 2) if CONFIG.keeps_table() else (LoadError(0), 3)
    assert (LoadError(await bench.read("errors")), await bench.read("records")) == expected
    assert await bench.read("phase") == Phase.DESCRIPTOR


@limited()
async def every_register(dut):
    """What each shows, that no write changes what can't be written, bytes without a strobe, addresses beyond."""
    bench = await started(dut)
    await bench.check(["CRC", "good"])
    before = {register.name: await bench.read(register.name) for register in REGISTERS}
    expected = {
        "identity": IDENTITY,
        "digest": CONFIG.GEOMETRY.layout_digest(),
        "widths": CONFIG.lanes.bit_length() - 1
        | CONFIG.slot_bits << 8
        | CONFIG.value_bits << 16
        | CONFIG.takes_tiles << 24,
        "max_codes": CONFIG.max_codes,
        "fill_latency": CONFIG.fill_latency,
        "record_crc": FRAMES["good"][-1] & LAST - 1,
        "errors": LoadError.CRC,
    }
    assert {name: before[name] for name in expected} == expected
    for register in REGISTERS:
        if not register.write:
            await bench.write(register.name, 0xFFFFFFFF)
    assert {register.name: await bench.read(register.name) for register in REGISTERS} == before
    place = (LoadError.CRC.bit_length() - 1) // 8
    for byte in range(4):  # ones in every byte, one strobe at a time
        if byte != place:
            await bench.write_raw("errors", 0xFFFFFFFF, 1 << byte)
            assert await bench.read("errors") == LoadError.CRC
    await bench.write_raw("control", 0xFFFFFFFF, 15 ^ 1)  # the bit is in the first byte
    assert await bench.read("record_crc") == before["record_crc"]
    await bench.check(["good again"])  # the tables are still loaded: nothing was reset
    for strobes, left in ((15 ^ 1 << place, LoadError.CRC), (1 << place, 0)):
        await bench.write_raw("errors", 0xFFFFFFFF, strobes)
        assert await bench.read("errors") == left
    for address in (4 * len(REGISTERS), 124):
        assert (await bench.lite.read(address, 4)).resp == AxiResp.SLVERR
        assert (await bench.lite.write(address, bytes(4))).resp == AxiResp.SLVERR


@limited()
async def registers_while_beats_come(dut):
    """Reads and writes at once, and streams beside them: nobody waits for ever, each answer is its own."""
    bench = await started(dut)
    expected, _ = bench.send("good")
    reads = [cocotb.start_soon(bench.read("identity")) for _ in range(20)]
    writes = [cocotb.start_soon(bench.write("errors", 0)) for _ in range(20)]
    for task in [*reads, *writes]:
        assert await task in (IDENTITY, None)
    assert await bench.receive() == expected


@limited()
async def an_answer_waits(dut):
    """Two reads, and nobody who takes the answers for a while: the first stands, the second comes behind it."""
    bench = await started(dut)
    channels = bench.lite.read_if
    channels.r_channel.clear_pause_generator()
    channels.r_channel.pause = True
    names = ("identity", "digest")
    for name in names:
        await channels.ar_channel.send(AxiLiteARTransaction(araddr=4 * ADDRESS[name], arprot=0))
    for _ in range(40):
        await RisingEdge(dut.aclk)
    channels.r_channel.pause = False
    found = [int((await channels.r_channel.recv()).rdata) for _ in names]
    assert found == [IDENTITY, CONFIG.GEOMETRY.layout_digest()]


@limited(expect_fail=True)
async def a_wrong_byte_is_found(dut):
    """The planted fault: the bench must not pass what is not the model's."""
    bench = await started(dut)
    expected, _ = bench.send("good")
    value, keep = expected[-1]
    assert await bench.receive() == [*expected[:-1], (value ^ 1, keep)]
