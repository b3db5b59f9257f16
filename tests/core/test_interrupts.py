"""Ctrl-C is remembered, raised where it is safe, and never lost."""

import os
import signal
import threading

import pytest

from flowplane.core.interrupts import deferred_interrupts


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_raised_at_the_check():
    reached = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts() as check:
        press()
        reached.append("after")
        check()
        reached.append("never")
    assert reached == ["after"]


def test_not_lost_at_the_end_and_the_old_handler_is_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        press()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_time_interrupts_at_once():
    reached = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        press()
        press()
        reached.append("never")
    assert reached == []


def test_other_threads_are_left_alone():
    outcome = []

    def work():
        with deferred_interrupts() as check:
            check()
            outcome.append("fine")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == ["fine"]
