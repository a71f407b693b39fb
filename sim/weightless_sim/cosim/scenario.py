"""A cosimulation run: which decoder, which records, which stalls, which planted fault; and what came of it."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_sim.model.cycles import LayerCycles
from weightless_sim.model.events import RunEvents
from weightless_sim.model.patterns import ALWAYS, Load, Pattern
from weightless_sw.files import write_atomically
from weightless_sw.records import geometry_of, is_resident, runs_of, sealed
from weightless_sw.spec.hash import WORD_BITS

FAULTS = ("", "slot", "expectation", "event")


LAST = 1 << WORD_BITS  # beside a word's bits, on the word that ends a frame


def frame(record: bytes) -> list[int]:
    """A record as it goes over the wire: its words, and its CRC word, which is last."""
    *words, crc = np.frombuffer(sealed(record), "<u4").tolist()
    return [*words, crc | LAST]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One run of the bench.

    ``records`` are sent one after another; a record that is only a descriptor is a resident
    one, with four words behind it a tile's.  ``frames`` are what
    is sent in their place, where some are to be refused: ``records`` are then those that are decoded.
    ``reset_at`` resets the decoder in that cycle and begins again from the first record; with ``soft``, through its
    register.  ``fault``
    plants an error that the bench must find: ``"slot"`` flips a bit in the simulated memory,
    ``"expectation"`` one in the golden model's answer, ``"event"`` keeps a cycle from being counted.
    """

    config: DecoderConfig
    records: list[bytes]
    frames: list[list[int]] = field(default_factory=list)
    source: Pattern = field(default_factory=lambda: ALWAYS)
    sink: Pattern = field(default_factory=lambda: ALWAYS)
    reset_at: int | None = None
    soft: bool = False
    fault: str = ""
    count: bool = False  # count the units' events, and compare them with the model's; half as fast

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"fault must be one of {FAULTS}, not {self.fault!r}")

    @property
    def words(self) -> list[int]:
        """All words of the run, with LAST where a frame ends."""
        return [word for words in self.frames or map(frame, self.records) for word in words]

    @property
    def loads(self) -> list[Load]:
        """The records, as the cycle model takes them."""
        return [load_of(record) for record in self.records]

    @property
    def digest(self) -> str:
        """SHA-256 of all that is asked for: a result names the scenario that it is of."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write it as JSON, for the bench inside the simulator."""
        path.write_text(self._text())

    def _text(self) -> str:
        return json.dumps(
            {
                "layout": self.config.GEOMETRY.NAME,
                "config": vars(self.config),
                "records": [record.hex() for record in self.records],
                "frames": self.frames,
                "source": self.source.astype(int).tolist(),
                "sink": self.sink.astype(int).tolist(),
                "reset_at": self.reset_at,
                "soft": self.soft,
                "fault": self.fault,
                "count": self.count,
            }
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """The inverse of :meth:`save`."""
        fields: dict[str, Any] = json.loads(path.read_text())
        config = decoders.configure(fields.pop("layout"), **fields.pop("config"))
        records = map(bytes.fromhex, fields.pop("records"))
        source, sink = (np.array(fields.pop(name), dtype=np.bool_) for name in ("source", "sink"))
        return cls(config=config, records=list(records), source=source, sink=sink, **fields)


@dataclass(frozen=True)
class CosimResult:
    """What a passed run measured; the fields of the bench's result file."""

    scenario_sha256: str  # Scenario.digest
    n_weights: int
    n_beats: int
    n_mismatches: int
    first_mismatch: str
    registers: list[int]
    errors: int  # LoadError, of all records
    layers: list[LayerCycles]
    predicted: list[LayerCycles]
    events: RunEvents | None  # where they were counted
    predicted_events: RunEvents | None
    output_transfers: list[int]

    def save(self, path: Path) -> None:
        """Write it as JSON, for the runner outside the simulator."""
        write_atomically(path, msgspec.json.encode(self))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The inverse of :meth:`save`."""
        return msgspec.json.decode(path.read_bytes(), type=cls)


def load_of(record: bytes) -> Load:
    """A record, a resident descriptor, or a tile's, as the cycle model takes it."""
    return Load(geometry_of(record), record, is_resident(record), runs_of(record))


def stall_patterns(seed: int = 0, length: int = 997) -> dict[str, tuple[Pattern, Pattern]]:
    """The stall matrix: name -> (source, sink).  The length is prime, so that patterns drift over beats."""
    rng = np.random.default_rng(seed)
    random = [rng.random(length) < 0.6 for _ in range(2)]
    long_stall = np.ones(length, dtype=np.bool_)
    long_stall[100:600] = False
    sparse = np.arange(length) % 7 == 0
    return {
        "none": (ALWAYS, ALWAYS),
        "source": (random[0], ALWAYS),
        "sink": (ALWAYS, random[1]),
        "both": (random[0], random[1]),
        "long stall": (long_stall, np.roll(long_stall, 50)),
        "slow sink": (ALWAYS, sparse),
        "alternating": (np.array([True, False]), np.array([False, True])),
    }
