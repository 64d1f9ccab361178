# Each target sets up what it needs from a bare machine, in a virtual environment of its own.
PYTHON ?= python3
VENV ?= .venv
# What pip is to install, if the environment has no torch yet: a version's build is the package index's choice.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
ARGS ?=

.PHONY: bench test lint docs clean

$(BIN)/.ready: pyproject.toml setup.py $(shell find csrc -type f)
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "setuptools>=77" ninja "pybind11>=2.13" "$(TORCH)"
	$(BIN)/pip install --no-build-isolation --verbose --editable ".[bench,test]"
	# The tests read its activations. The torchvision that it asks for would have to be built as torch is.
	$(BIN)/pip install --quiet --no-deps timm
	touch $@

# The main job: build, then the comparison with the native ops. ARGS="--full" for all dtypes and sizes.
bench: $(BIN)/.ready
	$(BIN)/python benchmarks/compare.py $(ARGS)

test: $(BIN)/.ready
	$(BIN)/python -m pytest --numprocesses=auto $(ARGS)

$(VENV)-lint/.ready: pyproject.toml
	test -d $(VENV)-lint || $(PYTHON) -m venv $(VENV)-lint
	$(VENV)-lint/bin/pip install --quiet ruff mypy "clang-format==21.1.8"
	touch $@

lint: $(VENV)-lint/.ready
	$(VENV)-lint/bin/ruff check .
	$(VENV)-lint/bin/ruff format --check .
	$(VENV)-lint/bin/mypy
	find csrc tests tools benchmarks \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 | xargs -0 $(VENV)-lint/bin/clang-format --dry-run --Werror

# The documentation as pages, in site/.
docs:
	test -d $(VENV)-docs || $(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/pip install --quiet mkdocs
	$(VENV)-docs/bin/mkdocs build

clean:
	rm -rf build site $(VENV) $(VENV)-lint $(VENV)-docs act_ext/*.so act_ext/_build_info.py
