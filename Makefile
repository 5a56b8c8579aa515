# make demo: sets up and runs the main job on the embedded synthetic cries; make test: sets up and tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
export MPLBACKEND := Agg

.PHONY: demo test check docs study faults clean

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cryjax needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: $(READY)
	$(BIN)/python -m cryjax.main --config=configs/suite.py:demo --workdir=runs/demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist=worksteal $(TESTS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(READY)
	$(BIN)/python -m pip install --quiet "mkdocs-material==9.8.2" "mkdocstrings==1.0.8" "mkdocstrings-python==2.0.11"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

study: $(READY)
	$(BIN)/python -m cryjax.main --config=configs/study.py:list

faults: $(READY)
	$(BIN)/python -m faults

clean:
	rm -rf $(VENV) runs prepared site
