# Thin: each target sets up its own environment and calls one command.  Everything made is in build/.
PYTHON ?= python3
VENV := build/venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --disable-pip-version-check -q
MODELS := weightless_sw/models
# A folder with the four files of MNIST, where there is one; else they are downloaded once.
DATA := $(if $(WEIGHTLESS_MNIST),--data $(WEIGHTLESS_MNIST))
# An environment knows its own path: in a copy of the folder, or after a move, it is set up again.
HERE := $(VENV)/at-$(shell pwd -P | cksum | cut -d' ' -f1)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help tools sim paper paper-quick sim-vgg test test-long check model verify-model area grid rivals bench bench-figure tables results results-bulk results-plan fuzz fuzz-ribbon mutants key-sets hash-study figures clean
help:
	@echo "make sim           simulate the decoding of the bundled model, write build/report/"
	@echo "make sim-vgg       a layer of VGG-16 fc6's size through 16 and 8 lanes, every weight compared, five minutes"
	@echo "make test          run the tests"
	@echo "make test-long     the same with ten times as many random cases, some ten minutes more"
	@echo "make check         ruff and mypy"
	@echo "make model         train the bundled model again (MNIST, torch, 3 to 10 minutes)"
	@echo "make paper         the paper's results, three seeds each, hours; what is in docs/results is skipped"
	@echo "make paper-quick   one run of LeNet-300-100 of them, ten minutes, to build/paper"
	@echo "make verify-model  its test error on MNIST once more, without torch"
	@echo "make area          LUTs, flip-flops, RAMs and MHz of 1, 8 and 64 lanes on ECP5"
	@echo "make grid          measure the decoders that estimates stand on, in the background, an hour and a half:"
	@echo "                   NANGATE45=FILE and ASAP7='FILES' name the libraries; it goes on where it was"
	@echo "make rivals        measure what docs/rivals.md compares, in the same way, an hour and a half"
	@echo "make bench         encode and decode speed, side by side with peers"
	@echo "make bench-figure  draw the plot of speed in docs/layouts.md again, two minutes"
	@echo "make fuzz          random decoders and layers on Icarus, five minutes"
	@echo "make fuzz-ribbon   random tensors through the ribbon's encoder, five minutes"
	@echo "make mutants       planted faults of the RTL, each of which a test must find (ten minutes)"
	@echo "make key-sets      what the ribbon takes of key sets of many structures"
	@echo "make hash-study    the measurements behind docs/hash.md (half an hour)"
	@echo "make figures       draw the pictures of the docs again"
	@echo "make results       measure the tables of README and docs/layouts.md again, to docs/results"
	@echo "make results-bulk  stream layers of LeNet-5's and VGG-16's size through both decoders, ten minutes"
	@echo "make results-plan  run the bundled network's layers with an array's stalls, beside the plan, three minutes"
	@echo "make tables        fill the tables of the docs from docs/results and from shipped entries"
	@echo "make clean         remove build/"

# Checked before any work, each time: it takes a tenth of a second.
tools:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON); on Debian or Ubuntu: apt-get install python3"; exit 1; }
	@$(PYTHON) sim/weightless_sim/system.py

$(HERE): | tools
	@echo "Setting up $(VENV), once."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/sim.stamp: pyproject.toml $(HERE) | tools
	@echo "Installing what simulations need, once: a minute or two."
	@$(PIP) -e '.[sim]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/sim.stamp
	@echo "Installing what tests need, once: a minute or two."
	@$(PIP) -e '.[sim,synth,dev]'
	@touch $@

sim: $(VENV)/sim.stamp
	@$(BIN)/weightless sim

sim-vgg: $(VENV)/sim.stamp
	@$(BIN)/weightless bulk --layout ribbon --lanes 16
	@$(BIN)/weightless bulk --layout ribbon --lanes 8

test: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

test-long: export WEIGHTLESS_EFFORT = 10
test-long: test

check: $(VENV)/dev.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

$(VENV)/train.stamp: pyproject.toml $(VENV)/sim.stamp
	@echo "Installing what training needs, once: torch is large (docs/install.md)."
	@$(PIP) -e '.[sim,train]'
	@touch $@

$(VENV)/data.stamp: pyproject.toml $(VENV)/sim.stamp
	@echo "Installing what MNIST needs, once."
	@$(PIP) -e '.[sim,data]'
	@touch $@

model: $(VENV)/train.stamp
	@$(BIN)/weightless compress lenet300 --seed 1 $(DATA) -o $(MODELS)/lenet300.wls --simplified $(MODELS)/lenet300_simplified.npz

paper: $(VENV)/train.stamp
	@$(BIN)/weightless paper $(DATA) -o docs/results/paper
	@test -e docs/results/density.json || $(BIN)/weightless paper --density docs/results/density.json $(DATA)
	@test -e docs/results/vgg16.json || $(BIN)/weightless vgg16 -o docs/results/vgg16.json

paper-quick: $(VENV)/train.stamp
	@$(BIN)/weightless paper --quick $(DATA)

verify-model: $(VENV)/data.stamp
	@$(BIN)/python -m weightless_sw.training.verify

area: $(VENV)/dev.stamp
	@$(BIN)/weightless fpga --lanes 1 8 64 --max-bank-rows 512 --seeds 3

grid: $(VENV)/dev.stamp
	@mkdir -p build
	@nohup nice $(BIN)/python -m weightless_sim.plan.measure sim/weightless_sim/model/tech --fpga \
	  $(if $(NANGATE45),--liberty $(NANGATE45)) $(if $(ASAP7),--liberty $(ASAP7)) > build/grid.log 2>&1 &
	@echo "Running in the background: build/grid.log says how far it is."

rivals: $(VENV)/dev.stamp
	@mkdir -p build
	@nohup nice $(BIN)/python -m weightless_sim.plan.measure docs/results --rivals --fpga \
	  $(if $(NANGATE45),--liberty $(NANGATE45)) $(if $(ASAP7),--liberty $(ASAP7)) > build/rivals.log 2>&1 &
	@echo "Running in the background: build/rivals.log says how far it is."

bench: $(VENV)/dev.stamp
	@$(BIN)/python tests/benchmarks/bench_codec.py
	@$(BIN)/python tests/benchmarks/bench_layouts.py

bench-figure: $(VENV)/dev.stamp
	@$(BIN)/python tests/benchmarks/bench_layouts.py -o docs/speed.svg

fuzz: $(VENV)/dev.stamp
	@$(BIN)/python tests/benchmarks/fuzz_cosim.py

fuzz-ribbon: $(VENV)/dev.stamp
	@$(BIN)/python tests/benchmarks/fuzz_ribbon.py

mutants: $(VENV)/dev.stamp
	@$(BIN)/python tests/benchmarks/mutants.py

key-sets: $(VENV)/dev.stamp
	@$(BIN)/python tests/benchmarks/key_sets.py

hash-study: $(VENV)/dev.stamp
	@$(BIN)/python tests/benchmarks/hash_study.py

results-bulk: $(VENV)/sim.stamp
	@for layout in classic ribbon; do \
	  $(BIN)/weightless bulk --layout $$layout --lanes 8 -o docs/results/bulk-vgg16-$$layout.json && \
	  $(BIN)/weightless bulk --layout $$layout --lanes 8 --slot-bits 7 --shape 500x800 --density 0.00325 --codes 4 \
	    -o docs/results/bulk-lenet5-$$layout.json || exit 1; \
	done

results: $(VENV)/sim.stamp
	@$(BIN)/python -m weightless_sim.report.results docs/results

results-plan: $(VENV)/sim.stamp
	@$(BIN)/python -m weightless_sim.report.results docs/results held

tables: $(VENV)/sim.stamp
	@$(BIN)/python -m weightless_sim.report.tables .

figures: $(VENV)/sim.stamp
	@$(BIN)/python -m weightless_sim.report.figures docs

clean:
	rm -rf build
