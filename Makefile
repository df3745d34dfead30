# make demo     invoices in, a table of their fields out: no key, no internet
# make test     every test, and the branches of floors 0 to 3
# make lint     ruff: the rules and the format
# make types    mypy, strict
# make floors   import-linter: imports go down, never sideways
# make recipes  the notebooks in recipes/, executed anew: NAMES='line_items'
# make simulate everything that can go wrong at once, decided by a seed: SEEDS=5000 stories, in half an hour
# make bench    what docpoll costs, measured, each figure with its target; over an hour
#
# Each target sets itself up: Python 3.11 or newer, make and a package index are all it needs, and the index only once.
# ARGS goes to pytest, and leaves the branches uncounted: make test ARGS='-k transport'.
# The first part of bench on fewer seeds, in some minutes: make bench QUICK=1

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test lint types floors recipes simulate bench
.DELETE_ON_ERROR:

PYTHONS := python3 python3.11 python3.12 python3.13 python3.14
PYTHON := .venv/bin/python
INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input

# Floors 0 to 3, where every branch is tested. `tests/test_house.py` holds this against the contract in pyproject.toml.
RULE := errors events wire documents extractions markup redaction envelopes schedules budget expiry keys nudges reads redirects results resubmits signatures sweeps arrivals jobs

# Tests start docpoll some hundred times: compiled each time anew, that would take longer than what it does.
unexport PYTHONDONTWRITEBYTECODE

comma := ,
empty :=
space := $(empty) $(empty)

help:
	@sed -n 's/^# make /make /p' Makefile

demo: .venv/.local
	@mkdir -p demo
	@.venv/bin/docpoll run recipes/invoices --provider local --store demo/docpoll.db --out demo/invoices.csv
	@echo "The same as a file: demo/invoices.csv. The ledger: demo/docpoll.db."

# Four workers, as half of the time they only wait; with ARGS='-n 0' in one process.
test: .venv/.dev
	@$(PYTHON) -m coverage erase
	@$(PYTHON) -m pytest -n 4 --dist worksteal $(RULE:%=--cov=docpoll.%) --cov-report= $(ARGS)
	@$(if $(ARGS),exit,:) 0; $(PYTHON) -m coverage report --skip-covered --fail-under=100 \
		--include='$(subst $(space),$(comma),$(RULE:%=src/docpoll/%.py))'
	@$(if $(ARGS),:,echo "floors 0 to 3: every branch is tested")

lint: .venv/.dev
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --check --quiet .
	@echo "lint: clean"

types: .venv/.dev
	@$(PYTHON) -m mypy

floors: .venv/.dev
	@.venv/bin/lint-imports --no-logo

# What they print and draw is kept in them; `tests/test_notebooks.py` runs them and keeps nothing.
recipes: .venv/.dev
	@$(PYTHON) recipes/execute.py $(NAMES)

# Two processes side by side; a story that breaks a promise is made short and written down.
SEEDS := 5000
simulate: .venv/.dev
	@$(PYTHON) -m tests.simulating --seeds $(SEEDS) --workers 2

# Every measurement is carried out, also where one before it misses its target; the figures stand in bench/out then.
bench: .venv/.dev
	@$(PYTHON) bench/measure.py $(if $(QUICK),--quick)

# The venv, made by the first of PYTHONS that is new enough and can make one.
$(PYTHON):
	@found=; seen=; \
	for python in $(PYTHONS); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		seen=$$python; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
		found=$$python; break; \
	done; \
	if [ -z "$$seen" ]; then \
		echo "docpoll needs Python 3.11 or newer; none of these is: $(PYTHONS)." >&2; exit 1; \
	elif [ -z "$$found" ]; then \
		echo "$$seen cannot make a venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	echo "setting up .venv with $$($$found --version), once ..."; \
	"$$found" -m venv --clear .venv

# Stamps: what .venv holds, as pyproject.toml has it. The one for development serves both.
.venv/.local: pyproject.toml | $(PYTHON)
	@echo "installing docpoll and what it reads documents with, once ..."
	@$(INSTALL) -e '.[local]'
	@touch $@

.venv/.dev: pyproject.toml | $(PYTHON)
	@echo "installing docpoll and what its tests need, once ..."
	@$(INSTALL) -e '.[all,dev]'
	@touch .venv/.local $@
