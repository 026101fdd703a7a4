"""The emulator runs right kernels right, in every order, and catches wrong ones by name."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from .conftest import NUM, Emulator

FORWARD, REVERSE, SHUFFLED = Emulator.forward, Emulator.reverse, Emulator.shuffled
ORDERS = [(FORWARD, 0), (REVERSE, 0), *((SHUFFLED, seed) for seed in range(20))]


def padded(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The values, then zeros: what a case leaves of its output."""
    output = np.zeros(NUM, np.float32)
    output[: len(values)] = values
    return output


def expected_ballot() -> np.ndarray:
    output = np.zeros(NUM)
    for warp in range(0, NUM, 32):
        chosen = [thread for thread in range(warp, warp + 32) if thread % 3 == 0]
        output[warp : warp + len(chosen)] = chosen
    output[63], output[255] = -1, -2
    return output


def expected_half_warps() -> np.ndarray:
    warps = np.arange(64).reshape(2, 2, 16)
    return np.stack([warps[:, 0].cumsum(1), warps[:, 1] - warps[:, 1, :1]], 1).ravel()


THREADS = np.arange(NUM)
EXPECTED: dict[str, Sequence[float] | np.ndarray] = {
    "block_sum": [THREADS.sum()] * 8,
    "early_exit": [*(THREADS[:-1] // 40 + 1), sum(NUM - 40 * i for i in range(7))],
    "ballot": expected_ballot(),
    "histogram": 3 * np.bincount(THREADS**2 % 16, minlength=16),
    "transpose": THREADS.reshape(16, 16).T.ravel(),
    "half_warps": expected_half_warps(),
    "rotate": (THREADS + 10) % NUM,
    "reverse_fours": THREADS.reshape(2, 32, 4)[:, ::-1].ravel(),
    "indices": np.repeat([x * 100 + y * 10 + z for z in range(4) for y in range(4) for x in range(2)], 8),
    "converted": [10] * NUM,
    "numbers": [2, 2, 1, 1, 2, np.nan],
}


@pytest.mark.parametrize("case", EXPECTED)
def test_a_right_kernel_is_right_in_every_order(emulator: Emulator, case: str) -> None:
    for order, seed in ORDERS:
        found = emulator.run(case, order, seed)
        np.testing.assert_array_equal(found, padded(EXPECTED[case]), f"order {order}, seed {seed}")


def test_threads_and_blocks_run_in_the_order_that_was_set(plain: Emulator) -> None:
    assert (plain.run("thread_order", FORWARD) == THREADS).all()
    assert (plain.run("thread_order", REVERSE) == THREADS[::-1]).all()
    shuffled = [tuple(plain.run("thread_order", SHUFFLED, seed)) for seed in range(20)]
    assert all(sorted(order) == list(THREADS) for order in shuffled)
    assert len(set(shuffled)) == 20
    first_blocks = {int(np.argmin(order)) // 64 for order in shuffled}
    assert first_blocks == {0, 1, 2, 3}
    assert tuple(plain.run("thread_order", SHUFFLED, 7)) == shuffled[7]


# --- Wrong kernels, and what must be said of each

WATCHED_ALONE = {
    "missing_barrier": r"reads byte \d+ of shared memory, which (no thread has written|.* writes: a race) "
    r"\(before the first __syncthreads\)",
    "missing_second_barrier": r"byte \d+ of shared memory, which thread \d+ of the block \w+: a race "
    r"\(after the __syncthreads of wrong.cu:\d+\)",
    "missing_atomic": r"reads byte 0 of shared memory, which thread \d+ of the block writes: a race",
    "missing_syncwarp": r"reads byte \d+ of shared memory, which thread \d+ of the block writes: a race",
    "misaligned_shared_vector": r"misaligned access: address \w+ is no multiple of 16 bytes",
    "uninitialised_shared": r"reads byte 0 of shared memory, which no thread has written .*\(0, 0, 0\)$",
    "uninitialised_count": r"atomically changes byte 0 of shared memory, which no thread has written",
}
CAUGHT = {
    "store_past_view": r"index \[256\] out of bounds: sizes \[256\]; block \(0, 0, 0\), thread \(255, 0, 0\)",
    "read_before_view": r"index \[-1\] out of bounds: sizes \[256\]; block \(0, 0, 0\), thread \(0, 0, 0\)",
    "vector_past_view": r"index \[256\] and 4 elements along dimension 0 out of bounds: sizes \[256\]",
    "read_past_shared": r"byte 10\d\d of shared memory, which has 1024 bytes.* thread \(25\d, 0, 0\)$",
    "write_past_shared": r"byte 1024 of shared memory, which has 1024 bytes.* thread \(255, 0, 0\)$",
    "write_before_shared": r"byte -[14] of shared memory, which has 1024 bytes",
    "misaligned_vector": r"misaligned access: address \w+ is no multiple of 16 bytes",
    "null_pointer": r"accesses address \S+, which is invalid or misaligned",
    "divergent_barrier": r"divergent barrier: threads 0-99 wait at __syncthreads \(wrong.cu:\d+\); "
    r"threads 100-255 wait at __syncthreads \(wrong.cu:\d+\)",
    "barrier_against_syncwarp": r"divergent barrier: threads 0-4, 6-31 wait at __syncwarp "
    r"\(wrong.cu:\d+, mask 0xffffffff\); threads 5 wait at __syncthreads \(wrong.cu:\d+\)",
    "shuffle_missing_lane": r"divergent barrier: .*threads 0-6, 8-31 wait at __shfl_xor_sync",
    "shuffle_other_mask": r"divergent barrier: .*\(wrong.cu:\d+, mask 0xfffffff0\)",
    "shuffle_without_itself": r"calls __shfl_xor_sync with mask 0x7fffffff, which leaves out its own lane 31",
    "stack_overflow": r"stack overflow: a thread has 256 KiB",
    "division_by_zero": r"divides an integer by zero",
    "unwinding": r"index \[256\] out of bounds",
}
REFUSED = {
    "too_many_threads": r"invalid configuration: grid \(1, 1, 1\), block \(1025, 1, 1\)",
    "too_much_shared": r"invalid configuration: .* 233472 bytes of shared memory",
    "empty_grid": r"invalid configuration: grid \(0, 1, 1\)",
}


def check_caught(emulator: Emulator, case: str, pattern: str, order: int, seed: int) -> None:
    kernel = "any" if case in REFUSED else case
    with pytest.raises(RuntimeError) as caught:
        emulator.run(case, order, seed)
    message = str(caught.value)
    assert message.startswith(f"{kernel}_kernel: ")
    assert re.search(pattern, message), message
    found = emulator.run("block_sum", order, seed)  # the next launch finds all in order
    np.testing.assert_array_equal(found, padded(EXPECTED["block_sum"]))


@pytest.mark.parametrize("case", CAUGHT | REFUSED)
def test_a_wrong_kernel_is_caught_in_every_order(emulator: Emulator, case: str) -> None:
    for order, seed in ((FORWARD, 0), (SHUFFLED, 0), (SHUFFLED, 1)):
        check_caught(emulator, case, (CAUGHT | REFUSED)[case], order, seed)
    # Reverse meets the other end of a range of errors first: only the kernel's name is certain.
    check_caught(emulator, case, r"\w+_kernel: ", REVERSE, 0)


@pytest.mark.parametrize("case", WATCHED_ALONE)
def test_watching_catches_it_in_every_order(watched: Emulator, case: str) -> None:
    for order, seed in ORDERS:
        check_caught(watched, case, WATCHED_ALONE[case], order, seed)


def test_orders_alone_show_a_missing_barrier(plain: Emulator) -> None:
    right = np.minimum(THREADS + 1, NUM - 1)
    assert np.isnan(plain.run("missing_barrier", FORWARD)[:-1]).all()  # the neighbour's poison
    np.testing.assert_array_equal(plain.run("missing_barrier", REVERSE), right)  # one order proves nothing
    for seed in range(20):
        assert np.isnan(plain.run("missing_barrier", SHUFFLED, seed)).any()


def test_orders_alone_show_a_missing_second_barrier(plain: Emulator) -> None:
    right = (THREADS + 3) % NUM + 3
    for order, seed in ORDERS:
        assert (plain.run("missing_second_barrier", order, seed) != right).any()


def test_poison_shows_what_nobody_wrote(emulator: Emulator) -> None:
    found = emulator.run("shuffle_from_exited")
    assert np.isnan(found[THREADS % 32 != 0]).all()


def test_poison_shows_uninitialised_shared_memory(plain: Emulator) -> None:
    found = plain.run("uninitialised_shared")
    assert np.isnan(found[0])
    assert (found[1:] == 1).all()
    assert (plain.run("uninitialised_count") == NUM - 1).all()


def test_orders_alone_do_not_show_a_missing_atomic(plain: Emulator) -> None:
    """Said in csrc/README.md among what cannot be seen: the reason why kernels are watched."""
    for order, seed in ORDERS:
        assert (plain.run("missing_atomic", order, seed) == NUM).all()


def test_threads_that_wait_are_unwound_when_another_errs(emulator: Emulator) -> None:
    with pytest.raises(RuntimeError):
        emulator.run("unwinding", SHUFFLED)
    assert emulator.output[0] == 0  # living objects


def test_launches_from_several_threads_take_turns(emulator: Emulator) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: emulator.run("block_sum"), range(40)))
    np.testing.assert_array_equal(found, [padded(EXPECTED["block_sum"])] * 40)
