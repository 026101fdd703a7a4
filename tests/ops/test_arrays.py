import numpy as np
import pytest
import torch

from higan_fast.ops import StylePart, bias_act, layer_styles, perturb_styles, upfirdn2d
from tests.ops.implementations import needs_gpu


def test_numpy_in_numpy_out():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    found = upfirdn2d(x, np.ones(3, np.float32) / 3, padding=1)
    assert isinstance(found, np.ndarray)
    expected = upfirdn2d(torch.from_numpy(x), torch.ones(3) / 3, padding=1)
    np.testing.assert_array_equal(found, expected.numpy())


def test_arrays_that_torch_cannot_share_are_copied():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1]
    x.flags.writeable = False
    np.testing.assert_array_equal(bias_act(x, activation="linear"), x)


def test_tuples_come_back_as_arrays():
    styles, demod = layer_styles(np.ones((2, 1, 3)), np.ones((4, 3)), np.ones(4), [StylePart(0, 4, 0)])
    assert isinstance(styles, np.ndarray) and styles.shape == (2, 4)
    assert demod is None
    indices = np.zeros(5, dtype=np.int64)
    ones = np.ones((2, 4)), np.ones((1, 4)), indices, indices, np.ones(5)
    styles, demod = perturb_styles(*ones, [StylePart(0, 4, 3)], weight_square=np.ones(12))
    assert (styles == 2).all() and isinstance(demod, np.ndarray) and demod.shape == (5, 3)


def test_other_things_are_named():
    with pytest.raises(TypeError, match="got list, expected a torch"):
        bias_act([1.0, 2.0])


@pytest.mark.parametrize("cupy", [pytest.param(None, marks=needs_gpu)])
def test_cupy_in_cupy_out(cupy):
    cupy = pytest.importorskip("cupy")
    x = cupy.ones((2, 3, 4, 5), cupy.float32)
    found = bias_act(x, cupy.ones(3, cupy.float32), activation="lrelu", gain=1)
    assert isinstance(found, cupy.ndarray)
    assert bool((found == 2).all())
