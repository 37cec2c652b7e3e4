"""A signal ends a demo wherever it arrives."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from pgsnow.embedded.demo.interruption import Interrupted, Interruption, interruptible


class Dropping:
    """Python drops what is raised here, as it does in a callback at a fork."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_python_drops_is_raised_at_the_next_check(capfd: pytest.CaptureFixture[str]) -> None:
    with interruptible() as interruption:
        Dropping()
        with pytest.raises(Interrupted) as raised:
            interruption.check()
    assert raised.value.signum == signal.SIGTERM
    assert capfd.readouterr().err == ""
    assert sys.unraisablehook is not interruption.dropped


def test_without_a_signal_nothing_is_raised() -> None:
    Interruption().check()
