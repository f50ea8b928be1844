# Everything a person types. `make demo` and `make test` work on a bare machine with Python 3.11 to 3.13 and git.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STORE ?= runs
FAULTS ?= 100
# Where `make science` finds copies of the hub's datasets; without it they are read from the hub.
DATA ?=
PROCESSES ?= $(shell nproc 2>/dev/null || echo 1)
# The CPU build suffices for everything here; TORCH= takes whatever the package index has.
TORCH ?= torch==2.13.0

# Tests start hundreds of processes. Where the environment forbids bytecode files each would compile this package anew,
# for a fifth of what a short command takes, and pytest every test file.
unexport PYTHONDONTWRITEBYTECODE

# What must hold however wide the vectors of a CPU are: losses, models and features, training, resume.
NUMERIC = tests/runner/test_resume.py::test_killed_in_training tests/losses tests/training \
	tests/runner/test_forward_passes.py $(addprefix tests/stages/test_,generate.py pairs.py pairs_run.py) \
	$(addprefix tests/models/test_,$(addsuffix .py, classifier features gguf ladders language load lora prompt readout))

.PHONY: demo science test capabilities check slow slow-local slow-slurm slow-all bench gpu-bundle chaos docs lock format \
	clean

demo: $(VENV)/run.ok  ## the offline default sweep: table, figure, report
	$(BIN)/python launch.py experiment=demo store=$(STORE)

SCIENCE = $(BIN)/python launch.py data_root=$(or $(DATA),null) store=$(STORE) \
	hydra.launcher.processes=$(PROCESSES) threads=1

science: $(VENV)/run.ok  ## real models: tasks x methods x losses, all losses, elicitation; about an hour: make science DATA=FOLDER
	$(SCIENCE) experiment=science
	$(SCIENCE) experiment=science_losses
	$(SCIENCE) experiment=science_elicitation
	$(BIN)/w2s --store $(STORE) report science science_losses science_elicitation --out $(STORE)/science

test: $(VENV)/dev.ok  ## the fast tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

capabilities: $(VENV)/dev.ok  ## NUMERIC as on CPUs with narrower vectors than this one's: with none, with AVX2 alone
	own=$$($(BIN)/python -c "import torch; print(torch.backends.cpu.get_cpu_capability().lower())"); \
	for capability in default avx2; do [ $$capability = $$own ] || ATEN_CPU_CAPABILITY=$$capability \
		$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(NUMERIC) || exit 1; done

check: $(VENV)/dev.ok  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# The cluster of the SLURM tests waits most of the time, so what needs none runs beside it; both run to their end.
slow: $(VENV)/dev.ok  ## real models, kills, malformed command lines, a real SLURM where it is installed
	$(MAKE) --no-print-directory --keep-going --output-sync=line -j 2 slow-slurm slow-local

slow-local: $(VENV)/dev.ok
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "slow and not extensive and not slurm" --durations=15

slow-slurm: $(VENV)/dev.ok
	$(BIN)/python -m pytest -q -m "slow and slurm and not extensive" --durations=15

slow-all: $(VENV)/dev.ok  ## every slow test: before a release, and before a change that touches them is called done
	$(BIN)/python -m pytest -q -m slow --durations=30

bench: $(VENV)/dev.ok  ## training beside other loops, on one thread; grids beside their cells; a report of 10,000 cells: make bench DATA=FOLDER
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.training --data $(DATA)
	$(BIN)/python -m benchmarks.sharing
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.report

# What machines with torch, transformers and peft lack, as installed here, for the Python of that machine.
LACKING = pydantic pydantic_core annotated-types typing-inspection typing_extensions rich markdown-it-py mdurl Pygments \
	threadpoolctl hydra-core omegaconf submitit cloudpickle
GPU_PYTHON ?= 3.12

gpu-bundle: $(VENV)/dev.ok  ## dist/gpu.tar: the check of a GPU for a machine that reaches no package index
	rm -rf dist/gpu dist/gpu.tar && mkdir -p dist/gpu/wheels
	$(PIP) download -q --no-deps --only-binary=:all: --python-version $(GPU_PYTHON) --platform manylinux_2_17_x86_64 \
		--platform manylinux2014_x86_64 -d dist/gpu/wheels \
		$$($(PIP) list --format=freeze | grep -iE '^($(subst $(eval ) ,|,$(strip $(LACKING))))=')
	$(PIP) wheel -q --no-deps -w dist/gpu/wheels antlr4-python3-runtime==4.9.3  # of omegaconf; it has no wheel
	git archive HEAD w2s_sweep benchmarks conf launch.py | tar -x -C dist/gpu
	tar -C dist -cf dist/gpu.tar gpu

chaos: $(VENV)/dev.ok  ## FAULTS faults injected into a sweep on a real SLURM
	$(BIN)/python -m benchmarks.chaos --faults $(FAULTS)

docs: $(VENV)/docs.ok  ## the documentation as a site: build/docs/html/index.html
	rm -rf build/docs
	$(BIN)/python -m docs.site.pages build/docs/source
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs/site build/docs/source build/docs/html

lock: $(VENV)/dev.ok  ## requirements.lock: the exact versions that this environment has
	$(BIN)/python -m containers.lock

format: $(VENV)/dev.ok
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## the virtual environment and caches; never the store
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

$(VENV)/run.ok: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH),$(PIP) install -q $(TORCH))
	$(PIP) install -q -e .
	touch $@

$(VENV)/dev.ok: $(VENV)/run.ok
	$(PIP) install -q -e '.[dev]'
	touch $@

$(VENV)/docs.ok: $(VENV)/run.ok
	$(PIP) install -q -e '.[docs]'
	touch $@
