# higan_fast with the kernels of all GPUs:
#     docker build -t higan_fast .
#     mkdir -p runs
#     docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD/runs:/work/runs" higan_fast demo --out runs/demo
# For CPUs alone, a small image:
#     docker build -t higan_fast:cpu --build-arg BASE=ubuntu:24.04 --build-arg CUDA=0 --build-arg TORCH=cpu .
# It is built in BASE and put into FINAL; both have the same system, and so the same Python, 3.11 or newer.
ARG BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04
ARG FINAL=ubuntu:24.04

FROM ${BASE} AS build
ARG CUDA=1
# PyTorch's index: cu130, cpu …
ARG TORCH=cu130
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# Versions are pinned there, for every pip below.
COPY constraints.txt ./
ENV PATH=/opt/higan_fast/bin:$PATH \
    PIP_CONSTRAINT=/source/constraints.txt \
    PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/${TORCH} \
    PIP_NO_CACHE_DIR=1
# hadolint ignore=DL3013
RUN python3 -m venv /opt/higan_fast && pip install setuptools cmake ninja pybind11
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY csrc csrc
COPY higan_fast higan_fast
# hadolint ignore=DL3013
RUN HIGAN_FAST_CUDA=${CUDA} HIGAN_FAST_CUDA_ARCHS=release pip install --no-build-isolation '.[figures,media,explore]' \
    && pip uninstall --yes cmake ninja pybind11

# The extension has the CUDA runtime in it, and torch's wheels have the libraries: the image needs nothing of CUDA.
FROM ${FINAL}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libstdc++6 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --mode 1777 /work
COPY --from=build /opt/higan_fast /opt/higan_fast
# Whoever runs it may write to HOME and to /work; Matplotlib keeps its cache in the former.
ENV PATH=/opt/higan_fast/bin:$PATH \
    HOME=/tmp
# The first user of a machine; what is mounted must be writable for it, or for the one that --user names.
USER 1000:1000
WORKDIR /work
ENTRYPOINT ["higan-fast"]
CMD ["doctor"]
