# The front door: `make demo` runs the scenario, `make test` passes all checks. Nothing needs root or a TEE.
PYTHON ?= python3
FUZZ_SECONDS ?= 20
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: soak demo test lint bench fuzz lock clean help

help:
	@echo "make demo   run the scenario end to end on a simulated platform"
	@echo "make test   lint, types, layers and all tests"
	@echo "make lint   ruff, mypy and import-linter only"
	@echo "make fuzz   fuzz every parser, FUZZ_SECONDS (20) each, and report what was reached"
	@echo "make soak   ten minutes at full load (SOAK_SECONDS=600)"
	@echo "make bench  measure, beside the peers, and write build/bench.json"

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created requirements/runtime.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.runtime
	$(BIN)/python demo/scenario.py

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -bb -m pytest -n 2 --dist worksteal

bench: $(VENV)/.dev
	$(BIN)/python bench/run.py

fuzz: $(VENV)/.dev
	$(BIN)/python -m fuzz.run --seconds $(FUZZ_SECONDS)

soak: $(VENV)/.dev
	$(BIN)/python bench/soak.py $(SOAK_SECONDS)

lock:
	$(BIN)/python -m pip install -q pip-tools
	$(BIN)/pip-compile -q --strip-extras --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --allow-unsafe -o requirements/runtime.txt requirements/runtime.in
	$(BIN)/pip-compile -q --strip-extras --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --allow-unsafe -o requirements/dev.txt requirements/dev.in

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
