"""Signals that come while processes start or end act afterwards."""

import signal

import pytest

from higan_fast.cluster.signals import undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_and_handlers_stay(number):
    came = []
    before = signal.signal(number, lambda it, _: came.append(it))
    try:
        handler = signal.getsignal(number)
        with undisturbed():
            assert signal.signal(number, signal.SIG_IGN) is handler  # as Ray does
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert came == []
        assert came == [number]
        assert signal.getsignal(number) is handler
        other = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        assert signal.signal(signal.SIGUSR1, other) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
