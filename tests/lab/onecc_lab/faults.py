# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on order: answers that a test has the API give instead of the right ones."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from .bodies import Fields
from .errors import invalid_parameters

MAX_DELAY_SECONDS = 600
"""A thread of the server sleeps that long."""


@dataclass(frozen=True)
class Fault:
    """What requests to a path get."""

    path: str
    """What the path of a request begins with, such as `/api/v1/instances`."""
    times: int = 1
    """How many requests."""
    status: int | None = None
    """HTTP status of the answer. None: the right answer, after the delay."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of the answer. A `Content-Length` above the body's length cuts the answer off in its middle."""
    body: str = ""
    content_type: str = "application/json"
    delay_seconds: float = 0.0
    """Before the answer or the cut."""
    cut: bool = False
    """True: the connection is closed without an answer."""


class Faults:
    """The faults that are due, in order. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: list[list[Any]] = []

    def replace(self, faults: list[Fault]) -> None:
        """Forgets what is due, and orders these."""
        with self._lock:
            self._due = [[fault, fault.times] for fault in faults]

    def take(self, path: str) -> Fault | None:
        """The first fault that is due for a path; it is then due one time less."""
        with self._lock:
            for entry in self._due:
                if path.startswith(entry[0].path):
                    entry[1] -= 1
                    self._due = [due for due in self._due if due[1] > 0]
                    return entry[0]
        return None

    def due(self) -> int:
        """How many requests will still get one."""
        with self._lock:
            return sum(times for _fault, times in self._due)


def read_faults(fields: Fields) -> list[Fault]:
    """The faults in `{"faults": [...]}`. A `body` that is no string is sent as JSON. Raises ApiError."""
    entries = fields.get("faults")
    if not isinstance(entries, list):
        raise invalid_parameters("faults: must be an array of objects.")
    return [_read_fault(entry, f"faults[{index}]") for index, entry in enumerate(entries)]


def _read_fault(entry: Any, where: str) -> Fault:
    if not isinstance(entry, dict) or not entry.keys() <= Fault.__dataclass_fields__.keys():
        raise invalid_parameters(f"{where}: must be an object of {', '.join(Fault.__dataclass_fields__)}.")
    body = entry.get("body", "")
    fault = Fault(**{"path": None, **entry, "body": body if isinstance(body, str) else json.dumps(body)})
    _check(isinstance(fault.path, str), where, "path", "a string")
    _check(_is_number(fault.times, int) and fault.times > 0, where, "times", "an integer from 1")
    status_fits = fault.status is None or (_is_number(fault.status, int) and 200 <= fault.status <= 599)
    _check(status_fits, where, "status", "an integer from 200 to 599, or null")
    _check(_are_headers(fault.headers), where, "headers", "an object of header lines")
    _check(_is_header_text(fault.content_type), where, "content_type", "a header value")
    delay_fits = _is_number(fault.delay_seconds, (int, float)) and 0 <= fault.delay_seconds <= MAX_DELAY_SECONDS
    _check(delay_fits, where, "delay_seconds", f"a number from 0 to {MAX_DELAY_SECONDS}")
    _check(isinstance(fault.cut, bool), where, "cut", "true or false")
    return fault


def _check(fits: bool, where: str, name: str, rule: str) -> None:
    if not fits:
        raise invalid_parameters(f"{where}.{name}: must be {rule}.")


def _is_number(value: Any, kind: type | tuple[type, ...]) -> bool:
    # True is an int to Python, but not to JSON.
    return isinstance(value, kind) and not isinstance(value, bool)


def _are_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name and _is_header_text(name) and _is_header_text(value[name]) for name in value
    )


def _is_header_text(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()
