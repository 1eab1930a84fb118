# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's rate limits."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

REQUEST_SECONDS = 1.0
"""Between two requests (Lambda Cloud API 1.10.0, description)."""

LAUNCH_SECONDS = 12.0
"""Between two launches (same source)."""


class Limiter:
    """Lets a request pass if the one before it is long enough ago. Refused requests do not count. Safe for threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds, never going back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._next_request = -math.inf
        self._next_launch = -math.inf

    def wait_seconds(self, *, launch: bool) -> float:
        """0: the request may pass, and is counted. More: it may not, and might in so many seconds."""
        with self._lock:
            now = self._clock()
            wait = max(self._next_request, self._next_launch if launch else -math.inf) - now
            if wait > 0:
                return wait
            self._next_request = now + REQUEST_SECONDS
            if launch:
                self._next_launch = now + LAUNCH_SECONDS
            return 0.0
