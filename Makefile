# make demo, make test: from nothing but python3, a C compiler and make.
# Everything installs into VENV; editing csrc/ rebuilds.

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -q
CSRC := $(wildcard csrc/*.h csrc/*/*.c csrc/*/*.h csrc/build.py)
C_FILES := $(wildcard csrc/*.h csrc/*/*.c csrc/*/*.h bench/ladder/*.c bench/ladder/rungs/*.c bench/ladder/rungs/*.h)
CFLAGS_PORTABLE := -O3 -std=gnu11 -fno-math-errno -ffp-contract=fast -Wall -Wextra -Werror -fopenmp -Icsrc
UNITS := $(foreach isa,generic avx2 avx512,csrc/core/$(isa)_f64.c csrc/core/$(isa)_f32.c)
SELFCHECK := csrc/selfcheck/selfcheck.c csrc/core/dispatch.c csrc/core/memory.c $(UNITS)

.PHONY: demo test coverage build check check-python check-types check-c format asm selfcheck sanitize sanitize-python aarch64 \
  bench ladder verify examples peers peers-networks peers-ops clean
.DEFAULT_GOAL := build

demo: build $(VENV)/.vision
	$(PY) -m fastconv demo $(DEMO)

# In parallel; neighbours share a worker, and with it what the specification gave for their shape.
# make test WORKERS=0 runs in one process. Of test functions with more than 100 cases, one in EVERY
# runs; all of them with make test EVERY=1, as .ci/run does.
WORKERS ?= auto
EVERY ?= 6

test: build $(VENV)/.dev
	$(PY) -m pytest -n $(WORKERS) --dist worksteal --every $(EVERY) $(TESTS)

# The suite once more, with every line of fastconv/ that runs counted, in processes that it starts too.
# In an environment of its own, with PyTorch and TensorBoard, whose tests would be skipped otherwise.
# Of a part: make coverage TESTS=tests/test_optim.py COVERAGE='--include=fastconv/optim/*'
COVERAGE ?= --fail-under=95
COVERAGE_VENV ?= .venv-coverage

coverage: build $(COVERAGE_VENV)/.installed
	rm -rf build/coverage && mkdir -p build/coverage
	$(COVERAGE_VENV)/bin/python -m coverage run -m pytest -n $(WORKERS) --dist worksteal $(TESTS)
	$(COVERAGE_VENV)/bin/python -m coverage combine -q
	$(COVERAGE_VENV)/bin/python -m coverage report $(COVERAGE)

$(COVERAGE_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(COVERAGE_VENV)
	$(COVERAGE_VENV)/bin/python -m pip --disable-pip-version-check -q install \
	  'setuptools>=64' wheel 'cffi>=1.15' $(TORCH) tensorboard
	FASTCONV_NO_EXT=1 $(COVERAGE_VENV)/bin/python -m pip --disable-pip-version-check -q install \
	  --no-build-isolation -e '.[vision,dev]'
	@touch $@

build: $(VENV)/.built

bench: build $(VENV)/.dev
	$(PY) -m pytest bench --benchmark-only $(BENCH)

# One convolution from naive Python to the engine: make ladder LADDER='--shape 256,256,28,28'
ladder: build $(VENV)/.dev
	$(PY) -m bench.ladder $(LADDER)

# Generated problems on every kernel: make verify VERIFY='--count 1000000 --seed 7'
verify: build
	$(PY) -m bench.verify --jobs 2 $(VERIFY)

# Each script of examples/, in seconds: make examples. As docs/examples.md gives the figures, in
# minutes: make examples SHORT= ; one of them: make examples EXAMPLES=examples/vae_plane.py
EXAMPLES ?= $(sort $(wildcard examples/[!_]*.py))
SHORT ?= --short

examples: build $(VENV)/.vision
	@set -e; for example in $(EXAMPLES); do \
	  echo "=== $$example"; $(PY) $$example $(SHORT) $(EXAMPLE); done

# Against PyTorch, in an environment of its own: make peers PEERS='--quick --threads 1 2'
PEERS_VENV ?= .venv-peers
TORCH ?= torch==2.13.0

peers: build $(PEERS_VENV)/.installed
	$(PEERS_VENV)/bin/python -m bench.peers layers $(PEERS)

peers-networks: build $(PEERS_VENV)/.installed
	$(PEERS_VENV)/bin/python -m bench.peers networks $(PEERS)

peers-ops: build $(PEERS_VENV)/.installed
	$(PEERS_VENV)/bin/python -m bench.peers ops $(PEERS)

$(PEERS_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip --disable-pip-version-check -q install \
	  'setuptools>=64' wheel 'cffi>=1.15' $(TORCH)
	$(PEERS_VENV)/bin/python -m pip --disable-pip-version-check -q install \
	  --no-build-isolation -e '.[vision]'
	@touch $@

# `make -k check` goes on past the first that fails.
check: check-python check-types check-c

check-python: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

check-types: $(VENV)/.dev
	$(PY) -m mypy

check-c: $(VENV)/.dev
	$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)

format: $(VENV)/.dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(VENV)/bin/clang-format -i $(C_FILES)

# Fails if a micro-kernel keeps an accumulator on the stack.
asm: $(VENV)/.build-tools
	$(PY) csrc/selfcheck/check_asm.py

# Every instruction set against plain loops, without Python.
selfcheck: build/selfcheck
	build/selfcheck

build/selfcheck: $(SELFCHECK) $(CSRC)
	@mkdir -p build
	$(CC) $(CFLAGS_PORTABLE) -o $@ $(SELFCHECK) -lm

# The same with every read and write checked, and every undefined operation an error. What UBSan
# says of addresses (null, object-size) the address sanitizer sees; they are half the compile time.
SANITIZE := -O1 -g1 -fPIC -fno-omit-frame-pointer -fsanitize=address,undefined \
  -fno-sanitize=null,object-size -fno-sanitize-recover=all
SANITIZED := $(patsubst csrc/%.c,build/sanitize/%.o,$(SELFCHECK))
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

sanitize:
	$(MAKE) -j$(JOBS) build/selfcheck-sanitize
	build/selfcheck-sanitize

# Small pieces, so that weight gradients of the checks' sizes are cut too.
build/sanitize/core/dispatch.o: SANITIZE += -DPIECE_PIXELS=200
build/sanitize/%.o: csrc/%.c $(CSRC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_PORTABLE) $(SANITIZE) -c -o $@ $<

build/selfcheck-sanitize: $(SANITIZED)
	$(CC) -fopenmp -fsanitize=address,undefined -o $@ $^ -lm

# And from Python, on a copy of the package over the same objects: the tests of kernels and of the
# buffer pool, every SANITIZE_EVERY-th of those of each function.
SANITIZE_TESTS ?= tests/test_kernels.py tests/test_norm_kernels.py tests/test_softmax_kernels.py \
  tests/test_elementwise.py tests/test_optim_kernels.py tests/test_resample.py tests/test_join.py \
  tests/test_epilogue.py tests/test_packed.py tests/test_not_finite.py tests/test_memory.py
SANITIZE_EVERY ?= 40

sanitize-python: $(VENV)/.dev
	$(MAKE) -j$(JOBS) $(SANITIZED) build/sanitize/selfcheck/reference.o build/sanitize/winograd/facts.o
	$(PY) csrc/selfcheck/sanitize_python.py --every $(SANITIZE_EVERY) $(SANITIZE_TESTS)

AARCH64_CC ?= aarch64-linux-gnu-gcc
QEMU_AARCH64 ?= $(shell command -v qemu-aarch64 || command -v qemu-aarch64-static)

aarch64: $(SELFCHECK) $(CSRC)
	@command -v $(AARCH64_CC) >/dev/null && test -n "$(QEMU_AARCH64)" || { \
	  echo "make aarch64 needs a cross compiler and an emulator:" \
	       "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"; exit 1; }
	@mkdir -p build
	$(AARCH64_CC) $(CFLAGS_PORTABLE) -static -o build/selfcheck-aarch64 $(SELFCHECK) -lm
	$(QEMU_AARCH64) build/selfcheck-aarch64

# ---------------------------------------------------------------- environment

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "fastconv needs Python 3.10 or newer; say which: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create virtual environments." \
	       "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.build-tools: $(VENV)/.venv
	$(PIP) install 'setuptools>=64' wheel 'cffi>=1.15'
	@touch $@

# Editable: Python files are used where they lie; only .built compiles, beside them.
$(VENV)/.installed: $(VENV)/.build-tools pyproject.toml
	FASTCONV_NO_EXT=1 $(PIP) install --no-build-isolation -e .
	@touch $@

$(VENV)/.vision: $(VENV)/.installed
	FASTCONV_NO_EXT=1 $(PIP) install --no-build-isolation -e '.[vision]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	FASTCONV_NO_EXT=1 $(PIP) install --no-build-isolation -e '.[vision,dev]'
	@touch $@ $(VENV)/.vision

$(VENV)/.built: $(VENV)/.installed setup.py $(CSRC)
	PYTHONWARNINGS=ignore $(PY) setup.py -q build_ext --inplace
	@touch $@

clean:
	rm -rf build dist *.egg-info fastconv/*.so fastconv/__pycache__ .pytest_cache \
	  .mypy_cache .ruff_cache $(VENV)/.built
