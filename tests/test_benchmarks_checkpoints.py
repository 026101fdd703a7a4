"""The benchmark of loading checks itself; what it measures is for a quiet machine to say."""

from benchmarks.cases.case import error, exact_result
from benchmarks.cases.checkpoints import checkpoint_cases


def test_all_ways_of_loading_agree():
    for case in checkpoint_cases(resolution=16, base=128):  # its files are there as long as it is
        assert case.name == "load StyleGAN2 16²"
        exact = exact_result(case)
        assert exact[0].shape == (1, 32, 4, 4)
        assert {backend.name: error(case, backend, exact) for backend in case.backends} == {
            "read and copy": 0, "stylegan2-ada pickle": 0, "converted": 0,
        }  # fmt: skip
