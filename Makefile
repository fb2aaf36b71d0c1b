# `make score` and `make test` do all the set-up that they need.
SHELL := /bin/sh
PYTHON ?= python3
SUBMISSION ?= reference_solution
ARGS ?=
READY := .venv/.ready
DEVELOPED := .venv/.ready-for-tests
UV := .venv/bin/uv

.PHONY: score test quick fuzz verify hostile lint generated tools lock bench bench-cohort bench-page clean

score: $(READY) tools
	.venv/bin/grader score $(SUBMISSION) $(ARGS)

# A file's tests stay together: they share services, and some want a port or the machine to themselves.
PYTEST := .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test: $(DEVELOPED)
	@sh .ci/tools engine
	$(PYTEST) $(ARGS)
	$(if $(ARGS),,.venv/bin/grader verify --static)
	$(if $(ARGS),,.venv/bin/grader verify --static --exam fixtures/exams/platform)

# What a developer runs all day: nothing that boots services or runs candidate code.
quick: $(DEVELOPED)
	$(PYTEST) -m "not slow" $(ARGS)

# Malformed submissions without end: `make fuzz FUZZ_SEED=5000 FUZZ_COUNT=10000`.
fuzz: $(DEVELOPED)
	FUZZ_SEED=$(or $(FUZZ_SEED),1000) FUZZ_COUNT=$(or $(FUZZ_COUNT),5000) \
	    .venv/bin/python -m pytest tests/fuzz --numprocesses auto --dist load $(ARGS)

# Every known defect must lose its points, and no honest variant any.
verify: $(READY) tools
	.venv/bin/grader verify $(ARGS)

# Every attack of the hostile corpus, on every isolation that this machine has.
hostile: $(DEVELOPED) tools
	@sh .ci/tools engine
	.venv/bin/python -m pytest tests/hostile tests/test_bad_input.py --scheduled --isolation bubblewrap --isolation docker --isolation none $(ARGS)

lint: $(DEVELOPED)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy grader tests benchmarks
	.venv/bin/vulture
	.venv/bin/grader rubric lint
	.venv/bin/grader rubric lint fixtures/exams/platform

# What is made from the checks themselves: the authors' reference, and the schema for their editors.
generated: $(DEVELOPED)
	.venv/bin/grader rubric checks --format markdown > rubrics/CHECKS.md
	.venv/bin/grader schema rubric > rubrics/rubric.schema.json

# The mark comes last, so that a half-built environment never passes for a finished one.
$(READY): .venv/bin/uv .ci/requirements.txt pyproject.toml
	$(UV) pip install --quiet --python .venv --require-hashes -r .ci/requirements.txt
	$(UV) pip install --quiet --python .venv --no-deps --editable .
	touch $@

# Who only grades needs no browser driver and no linters.
$(DEVELOPED): $(READY) .ci/requirements-dev.txt
	$(UV) pip install --quiet --python .venv --require-hashes -r .ci/requirements.txt -r .ci/requirements-dev.txt
	touch $@

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv

# Debian packages that some checks use: installed where that is allowed, named where it is not.
tools:
	@sh .ci/tools

COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url

lock: .venv/bin/uv
	$(COMPILE) --output-file .ci/requirements.txt pyproject.toml
	$(COMPILE) --constraints .ci/requirements.txt --extra dev --output-file .ci/requirements-dev.txt pyproject.toml

bench: $(READY) tools
	.venv/bin/python benchmarks/run.py $(ARGS)

# A batch against one grade after the other; `tests` has the stand-ins.
bench-cohort: $(DEVELOPED) tools
	.venv/bin/python -m benchmarks.cohort $(ARGS)

# Every page of `grader serve` over 2,000 candidates.
bench-page: $(DEVELOPED)
	.venv/bin/python -m benchmarks.page $(ARGS)

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
