#!/usr/bin/env bash
# One command for a bare machine with a GPU: build with CUDA, tests, benchmarks, compute-sanitizer, in 8 minutes.
#
#     benchmarks/gpu_check.sh [--minutes 8] [--peer CHECKOUT ...] [--rehearse] [STEP ...]
#
# Steps: build tests benchmarks paper sanitizer; all of them when none is named. Each has a share of the minutes, after
# which it is stopped, and the next one begins, unless it was the build that failed. What they print and the rows go
# to OUT as they come; summary.txt has a line for each step that has ended. The exit status is 1 unless all went well.
#
#     --minutes   for slower machines, or for one step alone.
#     --peer      a checkout of stylegan2-ada-pytorch or genforce/higan, to be timed beside ours; may come twice.
#     --rehearse  the same without a GPU: the CPU's kernels, and no sanitizer around the tests.
#
#     PYTHON   a Python whose torch sees the GPU (default: python3). The package runs from this folder; what else
#              it needs and lacks is installed into that Python.
#     WHEELS   a folder with those packages, for a machine without a network: benchmarks/gpu_wheels.sh fills one.
#     OUT      where logs and rows go (default: build/gpu_check).
#     WORKERS  how many processes test at once (default: the cores, at most 12).
#
# Of pytest's plugins only those that are named here are loaded: others may warn, which is an error in our tests.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

PYTHON=${PYTHON:-python3}
OUT=${OUT:-build/gpu_check}
CORES=$(nproc)
WORKERS=${WORKERS:-$((CORES < 12 ? CORES : 12))}
MINUTES=8
REHEARSAL=
PEERS=()
STEPS=()
ALL_STEPS=(build tests benchmarks paper sanitizer)
OPS=tests/ops/test_implementations.py
# each result on a line of its own, so that tests that are stopped have said how far they came
PYTEST=("$PYTHON" -m pytest -o addopts=--strict-markers -v -p pytest_timeout)
FAILED=0

main() {
    while [ $# -gt 0 ]; do
        case $1 in
            --peer)
                [ $# -gt 1 ] || usage "--peer: a folder is missing"
                PEERS+=(--peer "$2")
                shift
                ;;
            --minutes)
                [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage "--minutes: got ${2:-nothing}, expected a whole number"
                MINUTES=$2
                shift
                ;;
            --rehearse) REHEARSAL=1 ;;
            build | tests | benchmarks | paper | sanitizer) STEPS+=("$1") ;;
            *) usage "$1: expected --minutes N, --peer CHECKOUT, --rehearse or one of ${ALL_STEPS[*]}" ;;
        esac
        shift
    done
    [ ${#STEPS[@]} -gt 0 ] || STEPS=("${ALL_STEPS[@]}")
    mkdir -p "$OUT" || exit 1
    OUT=$(cd "$OUT" && pwd)
    : > "$OUT/summary.txt"
    END=$((SECONDS + 60 * MINUTES))
    export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
    unset PYTEST_ADDOPTS
    # cmake and ninja may be packages of a Python whose environment is not activated
    local beside
    beside=$("$PYTHON" -c 'import os, sys; print(os.path.dirname(sys.executable))') || exit 1
    export PATH="$beside:$PATH"

    step machine
    if [ "$FAILED" -eq 0 ]; then
        for name in "${STEPS[@]}"; do
            step "$name"
            [ "$name" != build ] || [ "$FAILED" -eq 0 ] || break
        done
    fi
    echo
    cat "$OUT/summary.txt"
    exit "$FAILED"
}

usage() {
    echo "$1" >&2
    exit 2
}

# Runs the function of that name; what it prints is kept as it comes, and its end is shown.
step() {
    local begin=$SECONDS status result
    echo "== $1"
    ("$1") > "$OUT/$1.log" 2>&1
    status=$?
    tail -n 40 "$OUT/$1.log"
    case $status in
        0) result="ok          " ;;
        124 | 137) result="OUT OF TIME " ;;
        *) result="FAILED      " ;;
    esac
    if [ "$status" -ne 0 ]; then
        FAILED=1
        result+="$1, $((SECONDS - begin)) s: status $status, see $1.log"
    else
        result+="$1, $((SECONDS - begin)) s"
    fi
    echo "$result" >> "$OUT/summary.txt"
}

# limited PERCENT COMMAND ...: stops it after that share of the minutes, or when all are over.
limited() {
    local seconds=$((60 * MINUTES * $1 / 100)) left=$((END - SECONDS))
    shift
    [ "$seconds" -le "$left" ] || seconds=$left
    if [ "$seconds" -le 0 ]; then
        echo "no time is left for: $*"
        return 124
    fi
    timeout --kill-after=5 "$seconds" "$@"
    local status=$?
    case $status in 124 | 137) echo "stopped after $seconds s: $*" ;; esac
    return "$status"
}

machine() {
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
    nvcc --version | tail -n 2
    c++ --version | head -n 1
    REHEARSAL=$REHEARSAL "$PYTHON" - <<'END_OF_CODE'
import os
import sys
import torch
print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, {os.cpu_count()} cores")
if os.environ["REHEARSAL"]:
    sys.exit()
if not torch.cuda.is_available():
    sys.exit("this torch sees no GPU: set PYTHON to an interpreter whose torch does, or rehearse with --rehearse")
print(torch.cuda.get_device_name(), "compute capability", torch.cuda.get_device_capability())
END_OF_CODE
}

build() {
    install_missing || return
    local executable cuda=1 cache=build/native/CMakeCache.txt
    executable=$("$PYTHON" -c 'import sys; print(sys.executable)') || return
    if [ -f "$cache" ] && ! grep -q "^Python_EXECUTABLE:[A-Z]*=${executable%/*}/[^/]*\$" "$cache"; then
        echo "build/native was configured by another Python than $executable: remove that folder first"
        return 1
    fi
    [ -z "$REHEARSAL" ] || cuda=0
    HIGAN_FAST_CUDA=$cuda limited 25 "$PYTHON" setup.py --quiet build_ext --inplace || return
    limited 5 "$PYTHON" - "$(device)" <<'END_OF_CODE'
import sys
import torch
from higan_fast import _native
kernels, problem = _native.backend(torch.device(sys.argv[1]))
sys.exit(problem if kernels is None else 0)
END_OF_CODE
}

device() {
    if [ -n "$REHEARSAL" ]; then echo cpu; else echo cuda; fi
}

# Installs what pyproject.toml asks for and this Python lacks, and pytest-xdist; ruff and mypy are not needed here.
install_missing() {
    local missing from=()
    missing=$(
        "$PYTHON" - <<'END_OF_CODE'
import tomllib
from importlib.metadata import PackageNotFoundError, version
from packaging.requirements import Requirement

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
for text in [*project["dependencies"], *project["optional-dependencies"]["dev"], "pytest-xdist"]:
    needed = Requirement(text)
    if needed.name in ("ruff", "mypy"):
        continue
    try:
        found = needed.specifier.contains(version(needed.name), prereleases=True)
    except PackageNotFoundError:
        found = False
    if not found:
        print(text)
END_OF_CODE
    ) || return
    [ -n "$missing" ] || return 0
    echo "missing: ${missing//$'\n'/, }"
    [ -z "${WHEELS:-}" ] || from=(--no-index --find-links "$WHEELS")
    # shellcheck disable=SC2086  # one word for each requirement
    limited 10 "$PYTHON" -m pip install --quiet --disable-pip-version-check "${from[@]}" $missing && return
    echo "could not install them: without a network, set WHEELS to a folder that benchmarks/gpu_wheels.sh has filled"
    return 1
}

tests() {
    local workers=() threads=$((CORES / WORKERS))
    export OMP_NUM_THREADS=$((threads > 0 ? threads : 1)) # or each worker would take every core
    if "$PYTHON" -c 'import xdist' 2> /dev/null; then
        workers=(-p xdist.plugin -n "$WORKERS" --dist worksteal)
    fi
    if [ -n "$REHEARSAL" ]; then
        limited 25 "${PYTEST[@]}" "${workers[@]}" tests/test_gpu.py "$OPS" -k "test_gpu or native"
    else
        limited 25 "${PYTEST[@]}" "${workers[@]}" -m gpu -rfE --durations=15 tests/test_gpu.py tests/ops
    fi
}

# Rows of a few rounds, the whole networks first. `python -m benchmarks.run` gives those that may be quoted.
benchmarks() {
    local name status=0 found names=(generator:16 verify:12 ops:8) # a peer's plugins are compiled in the first
    [ -n "$REHEARSAL" ] || names=("${names[@]:0:2}" convolutions:6 "${names[2]}")
    for name in "${names[@]}"; do
        limited "${name#*:}" "$PYTHON" -m benchmarks.run "${name%:*}" --device "$(device)" --quick --out "$OUT" "${PEERS[@]}"
        found=$?
        [ "$found" -eq 0 ] || status=$found
    done
    return "$status"
}

# A part of HiGAN's whole study on networks of full size; `--scale 1` of the same command is the goal of docs/gpu.md.
paper() {
    local scale=0.05
    [ -z "$REHEARSAL" ] || scale=0.0005
    limited 12 "$PYTHON" -m benchmarks.run paper --device "$(device)" --scale "$scale" --out "$OUT"
}

# The kernels' tests under each of compute-sanitizer's tools, in parts that run at once. float16 and float32 share all
# of their code with bfloat16; strided and empty inputs matter to memcheck alone.
sanitizer() {
    local sanitizer status=0 kind=cuda
    if [ -n "$REHEARSAL" ]; then
        kind=native
    else
        sanitizer=$(command -v compute-sanitizer) ||
            sanitizer=$(dirname "$(command -v nvcc)")/compute-sanitizer
        [ -x "$sanitizer" ] || {
            echo "compute-sanitizer was not found: put it on PATH"
            return 1
        }
    fi
    # each tensor its own allocation, or reading past one would reach the next unnoticed
    export PYTORCH_NO_CUDA_MEMORY_CACHING=1
    local parts="$OUT/parts" most="$kind and not bfloat16" ours=(--error-exitcode 9 --kernel-regex kns=higan_fast)
    rm -rf "$parts" && mkdir -p "$parts" || return
    divide memcheck 6 "$most" || return
    local tool
    for tool in racecheck:3 synccheck:2 initcheck:3; do
        divide "${tool%:*}" "${tool#*:}" "$most and not sliced and not empty" || return
    done
    sanitized memcheck "${ours[@]}" --report-api-errors no
    sanitized racecheck "${ours[@]}"
    sanitized synccheck "${ours[@]}"
    sanitized initcheck # must watch every kernel, for torch's write what ours read
    wait
    for tool in memcheck racecheck synccheck initcheck; do
        told "$tool" || status=$?
    done
    return "$status"
}

# divide TOOL PARTS SELECTION: lists of tests, round robin; fewer of them on a machine with fewer than 16 cores.
divide() {
    local parts_wanted=$(($2 * CORES / 16))
    "${PYTEST[@]}" -qq --collect-only "$OPS" -k "$3" |
        grep :: > "$parts/$1.all" || {
        echo "no tests for $1: $3"
        return 1
    }
    split -n "r/$((parts_wanted > 0 ? parts_wanted : 1))" "$parts/$1.all" "$parts/$1.part."
}

# Starts each part of a tool's tests, and leaves its log and status beside it.
sanitized() {
    local tool=$1 part around=()
    shift
    [ -n "$REHEARSAL" ] || around=("$sanitizer" --tool "$tool" --print-limit 20 "$@")
    for part in "$parts/$tool".part.??; do
        (
            limited 22 "${around[@]}" "${PYTEST[@]}" -p no:cacheprovider -o timeout=0 "@$part" > "$part.log" 2>&1
            echo $? > "$part.status"
        ) &
    done
}

# Says what became of a tool's tests; the worst status of its parts.
told() {
    local tool=$1 part found status=0
    for part in "$parts/$tool".part.??; do
        found=$(cat "$part.status" 2> /dev/null || echo 1)
        if [ "$tool" = initcheck ]; then # only what is said of ours counts
            if grep -A 1 Uninitialized "$part.log" | grep -q higan_fast; then found=9; fi
        fi
        case $found in
            0) ;;
            124 | 137) [ "$status" -ne 0 ] || status=$found ;;
            *)
                status=$found
                grep -E "=========|FAILED|ERROR" "$part.log" | head -n 20
                ;;
        esac
    done
    found=$(cat "$parts/$tool".part.??.log | grep -c PASSED)
    echo "$tool: $found of $(wc -l < "$parts/$tool.all") tests passed, status $status"
    return "$status"
}

main "$@"
