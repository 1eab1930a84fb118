# SPDX-License-Identifier: GPL-3.0-or-later
"""The server as a process, over loopback."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from client import KEY, Server


def exchange(server: Server, request: bytes) -> bytes:
    """What the server sends back for raw bytes until it closes the connection."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while received := connection.recv(65536):
                answer += received
        except ConnectionResetError:
            pass  # the server had enough before it had read everything
        return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with Server(state_dir=tmp_path, heads=1) as server:
        assert re.fullmatch(r"onecc-lab listens on http://127\.0\.0\.1:[1-9]\d*", server.line)
        assert server("GET", "/instances").status == 200
        assert server.stop(number) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["account.sqlite"]


def test_a_port_that_is_taken_is_an_error() -> None:
    with Server() as server:
        with pytest.raises(RuntimeError, match="in use"), Server(port=urlsplit(server.url).port):
            pass


def test_an_account_that_is_open_elsewhere_is_an_error(tmp_path: Path) -> None:
    with Server(state_dir=tmp_path), pytest.raises(RuntimeError, match="StoreInUse"), Server(state_dir=tmp_path):
        pass


def test_it_listens_on_loopback_alone() -> None:
    with Server() as server:
        port = urlsplit(server.url).port
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=2):
            pass


def test_the_caller_may_be_told_the_address() -> None:
    lab = Path(__file__).resolve().parents[1]
    code = f"""
import os, signal
from onecc_lab.api import serve
def told(url):
    print("told", url)
    os.kill(os.getpid(), signal.SIGTERM)
serve(port=0, api_key={KEY!r}, limits=True, on_listening=told)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=lab, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"told http://127\.0\.0\.1:\d+\n", result.stdout)


@pytest.mark.parametrize(
    "request_bytes",
    [b"\r\n\r\n", b"nonsense\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
     b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: odd\r\n\r\n",
     b"GET / HTTP/1.1\r\nA: " + b"x" * 300_000 + b"\r\n\r\n",
     b"POST /api/v1/ssh-keys HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n"],
)  # fmt: skip
def test_what_is_hardly_http_is_answered_in_json_or_not_at_all(request_bytes: bytes) -> None:
    with Server() as server:
        answer = exchange(server, request_bytes)
        if answer:
            head, _blank, body = answer.partition(b"\r\n\r\n")
            assert head.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 501", b"HTTP/1.0 501")), head
            assert b"application/json" in head
            assert set(json.loads(body)["error"]) >= {"code", "message"}
        assert server("GET", "/instances").status == 200


def test_its_log_has_no_key() -> None:
    with Server() as server:
        server("GET", f"/instances/{KEY}?x={KEY}")
        server("POST", "/instance-operations/launch", {"region_name": KEY})
        assert server.stop() == (0, "")
