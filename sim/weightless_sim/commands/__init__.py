"""The sub-commands of ``weightless``: what each does in a line, and the module that is imported when it is called."""

COMMANDS = {  # in the order in which help lists them: (module, text)
    "simplify": ("files", "Prune weights by magnitude and round them to few values, untrained."),
    "encode": ("files", "Store pruned and clustered weights in a .wls file."),
    "decode": ("files", "Turn a .wls file back into arrays, false positives included."),
    "info": ("files", "Say what a .wls file holds."),
    "frames": (
        "files",
        "Write what a decoder takes of each table of a .wls file, and what a driver must know of it.",
    ),
    "compress": (
        "train",
        "Train a network, simplify it, encode its big layer, retrain the rest around the errors.",
    ),
    "evaluate": ("train", "Test error of the network that a .wls file decodes to."),
    "demo": (
        "train",
        "Compress a small network on 8x8 digits, no download, under a minute: error and bytes at each step.",
    ),
    "paper": (
        "paper",
        "Train and compress the networks of the paper's results, each run with its JSON; what is there is skipped.",
    ),
    "vgg16": (
        "vgg",
        "Store the fully connected layers of VGG-16 in every layout and exact: bytes, seconds to encode and decode.",
    ),
    "plan": (
        "plan",
        "Say what a decoder gives a network on an array and a DRAM: lanes, cycles, bytes, energy, and who does better.",
    ),
    "rtl": ("hardware", "Write a decoder's Verilog, and what goes with it."),
    "fpga": (
        "hardware",
        "Synthesise decoders for an FPGA, place and route them: resources, frequency, weights per second.",
    ),
    "asic": (
        "asic",
        "Map a decoder to a cell library (Liberty), run it with a real record, and add up its energy.",
    ),
    "tech": (
        "tech",
        "List energies: DRAM, SRAM, registers, arithmetic, characterised decoders, each with its source.",
    ),
    "sim": ("simulate", "Simulate the decoding of a model, compare, and write a report."),
    "report": ("simulate", "Make report.html of a report.json once more."),
    "sweep": (
        "sweep",
        "Encode a model at many points of the design space; bytes, errors, cycles, area, energy of each.",
    ),
    "bulk": (
        "bulk",
        "Stream large layers through the RTL in a compiled harness, every weight and cycle compared.",
    ),
    "doctor": ("doctor", "Say which extras and tools are there, what each unlocks, and what installs it."),
}
