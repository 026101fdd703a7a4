"""Whether two verifications are the same, to the bit."""

import numpy as np


def same(one, other):
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(other, name), value, err_msg=name)
        else:
            assert getattr(other, name) == value, name
