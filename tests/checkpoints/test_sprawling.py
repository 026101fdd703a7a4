import re
import time

import pytest

from higan_fast.checkpoints import load_generator
from tests.checkpoints.sprawling import KINDS


@pytest.mark.parametrize("name", KINDS)
def test_small_files_that_claim_much_are_refused_at_once(tmp_path, name):
    """Walks over them took from seconds to hours, and gigabytes; the bound is what a reader promises."""
    path, words, config = KINDS[name](tmp_path)
    files = list(path.iterdir()) if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files)
    begin = time.process_time()
    with pytest.raises(ValueError, match=words) as raised:
        load_generator(path, config=config)
    assert time.process_time() - begin < 2 + size / 10e6
    message = str(raised.value)
    assert message.startswith(f"{path}: ") and len(message) < 500 + len(str(path))
    assert not re.search(r"[^ -~²…]", message)
