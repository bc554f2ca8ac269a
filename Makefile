# Everything a newcomer needs: `make demo` and `make test` each make .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# What the tests of the crossing put before the packages of .venv; each is a folder of its own, without dependencies.
BESIDE := ipykernel==6.31.0 ipykernel==7.1.0 nest-asyncio==1.6.0
KERNELS := .kernels/.ready

.PHONY: demo lab test bench bundle lint types wheel clean

demo: $(READY)
	$(BIN)/ciops-nb demo --estate data/demo --out incident-demo.html

test: lint types $(READY) $(KERNELS)
	$(BIN)/python -m pytest -rs
	$(BIN)/python -m pytest --nbval notebooks
	$(MAKE) wheel

lab: bundle
	$(BIN)/jupyter lab notebooks/00-start-here.ipynb

bench: bundle
	$(BIN)/python -m tests.bench.bench

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# What the widgets show in a browser, made from ciops_nb/views/js where that has changed.
bundle: $(READY)
	$(BIN)/python hatch_build.py

types: $(READY)
	$(BIN)/mypy
	$(BIN)/python hatch_build.py --check

# The wheel is built without a network and imported from a folder of its own, without the sources.
wheel: bundle
	rm -rf .bench/wheel && mkdir -p .bench/wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir .bench/wheel .
	$(BIN)/python -m pip install -q --no-deps --no-index --target .bench/wheel/site .bench/wheel/*.whl
	cd .bench/wheel && PYTHONPATH=site ../../$(BIN)/python -c "import ciops_nb; assert 'site' in ciops_nb.__file__; ciops_nb.connect; from ciops_nb.views.widgets.twin import asset; assert all(map(asset, ('explorer.js', 'waterfall.js', 'report.js', 'THIRD_PARTY.txt'))); print('wheel', ciops_nb.__version__)"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $(READY)

# Without a network there are none: the tests that need them are skipped, and say so.
$(KERNELS): Makefile $(READY)
	rm -rf .kernels && mkdir -p .kernels
	for one in $(BESIDE); do \
		$(BIN)/python -m pip install -q --no-deps --target .kernels/$$one $$one || exit 0; \
	done; touch $(KERNELS)

clean:
	rm -rf .venv .kernels .bench build dist .mypy_cache .ruff_cache
