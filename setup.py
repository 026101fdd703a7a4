"""Everything is declared in pyproject.toml; this file has CMake build the extension in csrc/.

HIGAN_FAST_CUDA=auto|0|1: compile CUDA where nvcc is found (auto), never, or fail without it.
HIGAN_FAST_CUDA_ARCHS: CMake's CUDA_ARCHITECTURES ("80-real,90a-real,90-virtual"), or "release".
HIGAN_FAST_GLIBC: the oldest glibc to run with, such as 2.28; needs ziglang. Default: this machine's.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    """Configures and builds ``csrc/`` in ``build/native``, which later builds continue."""

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        target = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        build = ROOT / "build" / "native"
        # cmake and ninja may be packages of an environment that is not activated
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        options = {
            # as it is now: an earlier build may have had tools in an environment that is gone
            "CMAKE_MAKE_PROGRAM": shutil.which("ninja", path=path),
            "HIGAN_FAST_OUTPUT": target,
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            "HIGAN_FAST_CUDA": os.environ.get("HIGAN_FAST_CUDA", "auto"),
            "HIGAN_FAST_CUDA_ARCHS": os.environ.get("HIGAN_FAST_CUDA_ARCHS", ""),
            "HIGAN_FAST_GLIBC": os.environ.get("HIGAN_FAST_GLIBC", ""),
            "HIGAN_FAST_WERROR": os.environ.get("HIGAN_FAST_WERROR", "OFF"),
        }
        defines = [f"-D{name}={value}" for name, value in options.items()]
        forgotten = ["-U", "*Python*", "-U", "PYTHON_*"]  # what was found of another Python
        commands = [
            ["cmake", "-S", ROOT / "csrc", "-B", build, "-G", "Ninja", *forgotten, *defines],
            ["cmake", "--build", build, "--target", "_extension"],
        ]
        for command in commands:
            subprocess.run(list(map(str, command)), check=True, env={**os.environ, "PATH": path})


setup(ext_modules=[Extension("higan_fast._extension", sources=[])], cmdclass={"build_ext": CMakeBuild})
