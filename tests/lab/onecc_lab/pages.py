# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists in pages, as later copies of the API's OpenAPI document 1.10.0 have them for GET /instances."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from .errors import invalid_parameters

MAX_SIZE = 100
"""Rows of a page (a client of the API of November 2026; no copy of the document that we have says it)."""


@dataclass(frozen=True)
class Window:
    """A page of a list: where it starts, and how many rows it has at most."""

    start: int
    size: int

    def envelope(self, rows: list[Any]) -> dict[str, Any]:
        """The body of the answer; its token is null on the last page."""
        end = self.start + self.size
        return {"data": rows[self.start : end], "page_token": _token(end) if end < len(rows) else None}


class Pages:
    """How lists are cut. `size` is that of requests that name none; None: all in one piece, without a token."""

    def __init__(self) -> None:
        self.size: int | None = None

    def order(self, size: Any) -> None:
        """Takes the size of an order. Raises ApiError."""
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_SIZE):
            raise invalid_parameters(f"size: must be an integer from 1 to {MAX_SIZE}, or null.")
        self.size = size

    def window(self, size: str | None, token: str | None) -> Window | None:
        """The page that a request asks for; None where nobody asks for pages. Raises ApiError."""
        if size is not None and not (re.fullmatch("[0-9]{1,3}", size) and 0 < int(size) <= MAX_SIZE):
            raise invalid_parameters(f"page_size: must be an integer from 1 to {MAX_SIZE}.")
        start = 0 if token is None else _start(token)
        if size is None and token is None and self.size is None:
            return None
        return Window(start, int(size) if size is not None else self.size or MAX_SIZE)


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from {start}".encode()).decode()


def _start(token: str) -> int:
    try:
        match = re.fullmatch(b"from ([0-9]{1,9})", base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError):
        match = None
    if match is None:
        raise invalid_parameters("page_token: is not one of this list.")
    return int(match[1])
