# Two commands: `make demo` and `make test`. Both make .venv and install what they need.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install demo test test-core test-oldest docs bench clean clean-kernels

help:
	@echo "make demo    map a bent foil and the strain of a transistor; figures in demo-output/"
	@echo "make test    lint, run the tests, build the documentation"
	@echo "make test-core   the tests without py4DSTEM, newest NumPy"
	@echo "make test-oldest the same with the oldest versions that are allowed"
	@echo "make install the set-up alone"
	@echo "make clean-kernels  forget what Numba compiled, after a change of kernels that others call"
	@echo "make docs    the documentation, in docs/_build/html; BARE=1 leaves out running the notebooks"
	@echo "make bench   the measured figures of benchmarks/README.md, long"

$(BIN)/.installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[py4dstem,distributed,tests,docs]"
	touch $@

install: $(BIN)/.installed

demo: install
	$(BIN)/python -m pyxem_mlmaps.demo

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(MAKE) docs BARE=1

# the core alone, with the newest NumPy and without py4DSTEM: what most users install
test-core:
	test -x .venv-core/bin/python || $(PYTHON) -m venv .venv-core
	.venv-core/bin/python -m pip install --quiet --upgrade pip
	.venv-core/bin/python -m pip install --quiet --editable ".[tests]"
	.venv-core/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# the oldest versions that pyproject.toml allows
test-oldest:
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet uv
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest/bin/python \
		--resolution lowest-direct --editable ".[distributed,tests]"
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: install
	test -n "$(BARE)" || $(BIN)/python docs/execute_notebooks.py
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html

bench: install
	$(BIN)/python -m pip install --quiet --editable ".[py4dstem,benchmarks]"
	$(BIN)/python benchmarks/run.py

clean-kernels:
	find pyxem_mlmaps tests benchmarks -name '*.nb[ic]' -delete

clean: clean-kernels
	rm -rf $(VENV) .venv-core .venv-oldest demo-output
