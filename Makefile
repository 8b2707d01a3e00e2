# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= 2
# Spinning OpenMP threads slow small shared machines down several times.
export OMP_WAIT_POLICY := passive

.PHONY: help install demo rehearsal test test-cluster smoke lint format docs clean

help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## Install everything into .venv

$(VENV)/.installed: requirements/lock.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "need $(PYTHON); set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: install ## Make the demo corpora, train, score, and print the tables (15 to 40 minutes on 2 cores, the installation included)
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/eadbench tables show

smoke: install ## The same pipeline, much smaller
	$(BIN)/snakemake --cores $(CORES) --configfile config.yaml config/smoke.yaml

rehearsal: install ## The paper's run, every job of it, on random weights and drawn actors (hours on 2 cores, about 30 GB of disk; SHORT=1: one job of each kind; NARROW=1: every job, small networks)
	PYTHONPATH=.:tests $(BIN)/python -m rehearsal $(if $(SHORT),--short) $(if $(NARROW),--depth narrow)

test: install ## Lint and run all tests but those of test-cluster, the smoke pipeline included (about 15 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m "not pipeline and not cluster" -n $(CORES)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m pipeline --timeout 2400

test-cluster: install ## Tests that bring up a one-node Slurm (root, apt) and conda environments; minutes each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m cluster --timeout 2400

lint: install ## Check format, lint, layers and workflow
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/snakefmt --check Snakefile workflow && $(BIN)/lint-imports && $(BIN)/snakemake --lint

format: install ## Format everything
	$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/snakefmt Snakefile workflow

docs: install ## Write docs/metrics.md, docs/reference.md and docs/tables.md from the code
	$(BIN)/eadbench config reference > docs/reference.md
	$(BIN)/eadbench scores list --markdown > docs/metrics.md
	$(BIN)/eadbench tables dictionary

clean: ## Remove results and logs; keep .venv, downloaded weights (results/zoo-cache) and other runs (paper, study, long)
	rm -rf $(filter-out results/zoo-cache,$(wildcard results/*)) logs .snakemake
