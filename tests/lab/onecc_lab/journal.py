# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked of the API: counters and the last requests, for tests that count round trips. It never has a key."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 1000
"""How many of the last requests are kept."""


@dataclass(frozen=True)
class Entry:
    """One request and its answer."""

    at: float
    """Seconds since 1970."""
    method: str
    path: str
    query: str
    status: int
    seconds: float
    """Until the answer was ready to be sent."""
    request_bytes: int
    """Of the body."""
    response_bytes: int
    """Of the body."""


class Journal:
    """Remembers requests. Safe for threads."""

    def __init__(self, secret: str) -> None:
        """secret: what is blotted out wherever it stands."""
        self._secret = secret
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._total = 0
        self._last: deque[Entry] = deque(maxlen=KEPT)

    def add(self, route: str, entry: Entry) -> None:
        """route: what the request is counted as. The routes are few; paths may be endless."""
        with self._lock:
            self._total += 1
            self._counts[f"{route} {entry.status}"] += 1
            self._last.append(entry)

    def as_json(self) -> dict[str, Any]:
        """`total`; `counts` by method, route and status; `last`, oldest first."""
        with self._lock:
            last = [asdict(entry) for entry in self._last]
            counts = dict(self._counts)
            total = self._total
        for entry in last:
            for name in ("method", "path", "query"):
                entry[name] = entry[name].replace(self._secret, "***")
        return {"total": total, "counts": counts, "last": last}
