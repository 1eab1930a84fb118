# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells a person that a long step is still alive."""

from __future__ import annotations

import sys
import time

HEARTBEAT_SECONDS = 8.0


class Progress:
    """Prints a line when the state of a step changes, and at the latest every `HEARTBEAT_SECONDS`."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._start = self._printed = time.monotonic()
        self._last = ""

    def say(self, state: str) -> None:
        """Reports the present state; cheap enough to call in a loop."""
        now = time.monotonic()
        if state != self._last or now - self._printed >= HEARTBEAT_SECONDS:
            self._last, self._printed = state, now
            self._print(state)

    def wait(self, seconds: float) -> None:
        """Sleeps between two calls of `say`."""
        time.sleep(seconds)

    def done(self, state: str) -> None:
        """Reports how the step ended."""
        self._print(state)

    def _print(self, state: str) -> None:
        elapsed = time.monotonic() - self._start
        print(f"{self._step} [{elapsed:4.0f} s] {state}", file=sys.stderr, flush=True)
