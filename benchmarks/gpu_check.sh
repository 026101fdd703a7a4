#!/usr/bin/env bash
# One command for a machine with a GPU: build with CUDA, tests, compute-sanitizer, benchmarks.
#
#     benchmarks/gpu_check.sh [--peer CHECKOUT ...] [STEP ...]
#
# Steps: build tests sanitizer benchmarks; all of them when none is named. A step that fails does not stop the
# next one; the last lines say which did, and so does the exit status. --peer, once for each: a checkout of
# stylegan2-ada-pytorch or genforce/higan, to be timed beside ours. Paths are taken from the repository's root.
#
#     PYTHON   a Python whose torch sees the GPU (default: python3). The package runs from this folder; what
#              else it needs and lacks is installed into that Python.
#     WHEELS   a folder with those packages, for a machine without a network.
#     OUT      where logs and new rows go (default: build/gpu_check).
#     PYTEST_ADDOPTS="-n 8" spreads the tests, where pytest-xdist is installed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

PYTHON=${PYTHON:-python3}
OUT=${OUT:-build/gpu_check}
PEERS=()
STEPS=()
ALL_STEPS=(build tests sanitizer benchmarks)
SUMMARY=()
FAILED=0

main() {
    while [ $# -gt 0 ]; do
        case $1 in
            --peer)
                [ $# -gt 1 ] || usage "--peer: a folder is missing"
                PEERS+=(--peer "$2")
                shift
                ;;
            build | tests | sanitizer | benchmarks) STEPS+=("$1") ;;
            *) usage "$1: expected --peer CHECKOUT or one of ${ALL_STEPS[*]}" ;;
        esac
        shift
    done
    [ ${#STEPS[@]} -gt 0 ] || STEPS=("${ALL_STEPS[@]}")
    mkdir -p "$OUT" || exit 1
    export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
    # cmake and ninja may be packages of a Python whose environment is not activated
    local beside
    beside=$("$PYTHON" -c 'import os, sys; print(os.path.dirname(sys.executable))') || exit 1
    export PATH="$beside:$PATH"

    step machine
    if [ "$FAILED" -eq 0 ]; then
        for name in "${STEPS[@]}"; do step "$name"; done
    fi
    echo
    printf '%s\n' "${SUMMARY[@]}" | tee "$OUT/summary.txt"
    exit "$FAILED"
}

usage() {
    echo "$1" >&2
    exit 2
}

# Runs the function of that name; what it prints is shown and kept.
step() {
    local begin=$SECONDS status
    echo "== $1"
    "$1" 2>&1 | tee "$OUT/$1.log"
    status=${PIPESTATUS[0]}
    if [ "$status" -eq 0 ]; then
        SUMMARY+=("ok      $1, $((SECONDS - begin)) s")
    else
        SUMMARY+=("FAILED  $1, $((SECONDS - begin)) s: status $status, see $1.log")
        FAILED=1
    fi
}

machine() {
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
    nvcc --version | tail -n 2
    "$PYTHON" - <<'END'
import sys
import torch
print(f"Python {sys.version.split()[0]}, torch {torch.__version__}")
if not torch.cuda.is_available():
    sys.exit("this torch sees no GPU: set PYTHON to an interpreter whose torch does")
print(torch.cuda.get_device_name(), "compute capability", torch.cuda.get_device_capability())
END
}

build() {
    install_missing || return 1
    local executable cache=build/native/CMakeCache.txt
    executable=$("$PYTHON" -c 'import sys; print(sys.executable)') || return 1
    if [ -f "$cache" ] && ! grep -q "^Python_EXECUTABLE:[A-Z]*=${executable%/*}/[^/]*\$" "$cache"; then
        echo "build/native was configured by another Python than $executable: remove that folder first"
        return 1
    fi
    HIGAN_FAST_CUDA=1 "$PYTHON" setup.py --quiet build_ext --inplace || return 1
    "$PYTHON" - <<'END'
import sys
import torch
from higan_fast import _native
kernels, problem = _native.backend(torch.device("cuda"))
sys.exit(problem if kernels is None else 0)
END
}

# Installs what pyproject.toml asks for and this Python lacks; ruff and mypy are not needed here.
install_missing() {
    local missing from=()
    missing=$(
        "$PYTHON" - <<'END'
import tomllib
from importlib.metadata import PackageNotFoundError, version
from packaging.requirements import Requirement

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
    needed = Requirement(text)
    if needed.name in ("ruff", "mypy"):
        continue
    try:
        found = needed.specifier.contains(version(needed.name), prereleases=True)
    except PackageNotFoundError:
        found = False
    if not found:
        print(text)
END
    ) || return 1
    [ -n "$missing" ] || return 0
    echo "missing: ${missing//$'\n'/, }"
    [ -z "${WHEELS:-}" ] || from=(--no-index --find-links "$WHEELS")
    # shellcheck disable=SC2086  # one word for each requirement
    "$PYTHON" -m pip install --quiet "${from[@]}" $missing && return 0
    echo "could not install them: without a network, set WHEELS to a folder with these wheels and their needs"
    return 1
}

tests() {
    "$PYTHON" -m pytest -rs --durations=10
}

# The kernels' tests under each of compute-sanitizer's tools. float16 and float32 share all of their code with
# bfloat16; strided and empty inputs matter to memcheck alone.
sanitizer() {
    local sanitizer status=0
    sanitizer=$(command -v compute-sanitizer) ||
        sanitizer=$(dirname "$(command -v nvcc)")/compute-sanitizer
    [ -x "$sanitizer" ] || {
        echo "compute-sanitizer was not found: put it on PATH"
        return 1
    }
    # each tensor its own allocation, or reading past one would reach the next unnoticed
    export PYTORCH_NO_CUDA_MEMORY_CACHING=1
    unset PYTEST_ADDOPTS
    local ours=(--error-exitcode 9 --kernel-regex kns=higan_fast)
    sanitized memcheck "cuda and not bfloat16" "${ours[@]}" --report-api-errors no || status=1
    sanitized racecheck "cuda and not bfloat16 and not sliced and not empty" "${ours[@]}" || status=1
    sanitized synccheck "cuda and not bfloat16 and not sliced and not empty" "${ours[@]}" || status=1
    initcheck || status=1
    return "$status"
}

sanitized() {
    local tool=$1 selection=$2
    shift 2
    echo "-- $tool"
    "$sanitizer" --tool "$tool" --print-limit 20 "$@" \
        "$PYTHON" -m pytest tests/ops/test_implementations.py -k "$selection" -p no:cacheprovider -o timeout=0
}

# Must watch every kernel, for torch's write what ours read; only what is said of ours counts.
initcheck() {
    local log status
    log=$(mktemp) || return 1
    sanitized initcheck "cuda and not bfloat16 and not sliced and not empty" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    if grep -A 1 "Uninitialized" "$log" | grep -q "higan_fast"; then
        echo "a kernel of ours reads what nobody wrote"
        status=1
    fi
    rm -f "$log"
    return "$status"
}

benchmarks() {
    local status
    "$PYTHON" -m benchmarks.run ops verify --device cuda "${PEERS[@]}"
    status=$?
    find benchmarks/results -name '*.csv' -newer "$OUT/machine.log" -exec cp {} "$OUT" \;
    return "$status"
}

main "$@"
