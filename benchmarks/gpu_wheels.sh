#!/usr/bin/env bash
# Downloads the wheels that a GPU machine without a network lacks beside torch, for x86_64 Linux.
#
#     benchmarks/gpu_wheels.sh PYTHON_VERSION DIR [PACKAGE ...]      benchmarks/gpu_wheels.sh 3.12 build/wheels
#
# There, WHEELS=DIR benchmarks/gpu_check.sh installs what is missing from that folder alone. Versions are those of
# constraints.txt. The packages below are those that PyTorch's own images lack; name further ones after the folder.
# PYTHON: a Python with pip to download with (default: python3); it may be another version.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

PACKAGES=(
    zarr numcodecs donfig google-crc32c PyYAML array-api-compat rich markdown-it-py mdurl Pygments
    pydantic pydantic-core annotated-types typing-inspection typing-extensions packaging click
    setuptools ninja safetensors threadpoolctl pytest pytest-timeout pytest-xdist execnet iniconfig pluggy pybind11
)
# Newest first: a wheel for an older glibc serves a newer one.
PLATFORMS=(manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64 manylinux1_x86_64)

if ! [[ ${1:-} =~ ^3\.[0-9]+$ ]] || [ $# -lt 2 ]; then
    echo "got ${*:-nothing}, expected: benchmarks/gpu_wheels.sh PYTHON_VERSION DIR [PACKAGE ...], as in 3.12 build/wheels" >&2
    exit 2
fi
version=$1
folder=$2
shift 2
mkdir -p "$folder"
# Without their needs, or torch would come along: those that are not in torch's images are named above.
"${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --implementation cp --python-version "$version" "${PLATFORMS[@]/#/--platform=}" \
    --constraint "$here/constraints.txt" --dest "$folder" "${PACKAGES[@]}" "$@"
du -sh "$folder" | cut -f 1 | sed "s|\$| in $(find "$folder" -name '*.whl' | wc -l) wheels for Python $version|"
