# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP server under the application: waitress, on the loopback interface, until a signal ends it."""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask

from .errors import ApiError

CUT = "onecc_lab.cut"
"""Set in a request's environment: close its connection without an answer."""

HOST = "127.0.0.1"

THREADS = 16
"""Requests at once; one that a fault delays keeps its thread."""

_BACKLOG = 1024
_REQUEST_BYTES = 256 * 1024 * 1024
"""Beyond this waitress refuses a body by itself; the application does so much earlier, but after reading it."""


def run(app: WSGIApplication, port: int, on_listening: Callable[[str], None]) -> None:
    """Serves an application on 127.0.0.1 until SIGTERM or SIGINT. Raises OSError where the port is taken.

    Outside the main thread no signal is handled: the server then ends with the process.
    """
    server = create_server(
        _cutting(app),
        host=HOST,
        port=port,
        threads=THREADS,
        backlog=_BACKLOG,
        connection_limit=_BACKLOG,
        max_request_body_size=_REQUEST_BYTES,
        ident=None,
    )
    server.channel_class = _Channel
    # A request that waits for a thread is no news, and threads that have just been started count as busy.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    with _ending_on_signals():
        on_listening(f"http://{HOST}:{server.effective_port}")
        server.run()  # returns on SystemExit
    server.close()


def _cutting(app: WSGIApplication) -> WSGIApplication:
    """The application, with the means to leave a request without an answer."""

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = app(environ, start_response)
        if environ.get(CUT):
            # As if the client had gone: waitress closes the connection and writes nothing.
            raise ClientDisconnected
        return answer

    return wrapped


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """Answers what is not HTTP at all as the API answers other errors."""

    def execute(self) -> None:
        error = self.request.error
        body = json.dumps(ApiError(error.code, "global/invalid-parameters", error.reason).envelope()).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _ErrorTask


class _ending_on_signals:
    """While this context lasts SIGTERM and SIGINT raise SystemExit in the main thread."""

    def __enter__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, _end)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
