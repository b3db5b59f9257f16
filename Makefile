# Two commands: `make demo` and `make test`. PIP_FLAGS reaches pip, for example
#   make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
VENV ?= .venv
PYTHON ?= python3
PIP_FLAGS ?=
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(PIP_FLAGS)

.PHONY: demo docs docs-execute test test-slow test-pythons check format results bench bench-gpu zoo published clean

demo: $(VENV)/demo.stamp
	$(BIN)/flowplane reproduce information-plane planar-dae
	$(BIN)/flowplane report results/information-plane -o results/report.html
	@echo "open in a browser results/report.html, the networks layer by layer, and results/planar-dae/planar-dae.html, a density"
	@echo "that flows; then try"
	@echo "  $(BIN)/flowplane claims results/             every claim of both papers, and what tests it"
	@echo "  $(BIN)/python docs/gallery/own_network.py    a small convolutional network, in numbers"
	@echo "  $(BIN)/flowplane reproduce planar-dae --full  the second lens, at the paper's scale"

test: check
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

test-slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m "slow or gpu" -o faulthandler_timeout=3600

# HTML in docs/build, from what is kept in docs/outputs; docs-execute runs gallery and notebooks anew
docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -b html -W --keep-going --quiet docs docs/build
	@echo "docs/build/index.html"

docs-execute: $(VENV)/docs.stamp
	$(BIN)/python docs/execute.py
	$(BIN)/python docs/execute_notebooks.py

# the wheel in an empty environment of every Python from 3.11 to 3.13 that is there, with the newest of what it needs
test-pythons: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m slow tests/test_wheel.py -o faulthandler_timeout=3600

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# three to four hours; goes on where it stopped. What it found goes into docs/results, README's table and the pages of results
results: $(VENV)/dev.stamp
	$(BIN)/flowplane reproduce all --full
	$(BIN)/python docs/make_results.py
	$(BIN)/python docs/check_numbers.py

bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/binned.py
	$(BIN)/python benchmarks/transport.py
	$(BIN)/python benchmarks/ridgelet.py
	$(BIN)/python benchmarks/learned.py
	$(BIN)/python benchmarks/estimators.py --whole
	-$(BIN)/python benchmarks/neighbours.py
	$(BIN)/python benchmarks/information_bottleneck.py
	$(BIN)/python benchmarks/betas.py
	$(BIN)/python benchmarks/analyses.py
	$(BIN)/python benchmarks/gradients.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/recorder.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/slider.py
	$(BIN)/python benchmarks/plane.py
	$(BIN)/python benchmarks/once.py

bench-gpu: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/gpu.py

# gigabytes, and an hour: its own environment, with a pair of torch and torchvision that installs
zoo: $(VENV)-zoo/zoo.stamp
	$(VENV)-zoo/bin/python benchmarks/zoo

$(VENV)-zoo/zoo.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)-zoo
	$(VENV)-zoo/bin/python -m pip install --quiet $(PIP_FLAGS) torch==2.14.1 torchvision==0.29.1 timm transformers --editable .
	@touch $@

# benchmark-mi needs a JAX of before 0.4.34; it asks for an older NumPy and pandas than ours, and runs with these
published: $(VENV)-published/published.stamp
	$(VENV)-published/bin/python benchmarks/published.py

$(VENV)-published/published.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)-published
	$(VENV)-published/bin/python -m pip install --quiet $(PIP_FLAGS) jax==0.4.33 jaxlib==0.4.33 "numpy<2.3" pandas tqdm pyyaml \
	  "pydantic<2" "equinox<0.11" "optax<0.2" "tensorflow-probability[jax]<0.21" --editable .
	$(VENV)-published/bin/python -m pip install --quiet $(PIP_FLAGS) --no-deps benchmark-mi
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-zoo $(VENV)-published results docs/build docs/jupyter_execute docs/api/generated

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "flowplane needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing flowplane and what it needs into $(VENV) (PyTorch is large: minutes) …"
	$(INSTALL) --editable '.[static,cluster]'
	@touch $@

$(VENV)/dev.stamp: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing flowplane and its development tools into $(VENV) …"
	$(INSTALL) --editable '.[static,dev]'
	@touch $@

$(VENV)/docs.stamp: $(VENV)/dev.stamp
	@echo "installing what the documentation needs into $(VENV) …"
	$(INSTALL) --editable '.[static,dev,docs]'
	@touch $@
