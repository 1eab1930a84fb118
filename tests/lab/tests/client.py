# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the lab's API for its tests: in the process through Flask, or a server of its own over loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract import ANSWERS, ERROR, STATUSES, problems

from onecc_lab.api import PREFIX, create_app
from onecc_lab.backend import Addresses, Node
from onecc_lab.paper import PaperBackend
from onecc_lab.store import Store

KEY = "secret_lab_0123456789abcdef.TOKEN"
BEARER = {"Authorization": f"Bearer {KEY}"}
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDvNq03IXfDIWAm8J5NW1QwTV37YcBygHPG3rcowaKwu test"
REGION = "us-east-2"
COMPUTE = "gpu_8x_h100_sxm5gdr"
HEAD = "cpu_4x_general"


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Recorder(PaperBackend):
    """Machines of paper that remember what was asked of them, and fail on demand."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(boot_seconds=10, clock=clock)
        self.nodes: dict[str, Node] = {}
        self.calls: list[tuple[str, str]] = []
        self.failing: set[str] = set()

    def create(self, node: Node) -> Addresses:
        self._note("create", node.id)
        self.nodes[node.id] = node
        return super().create(node)

    def restart(self, node_id: str) -> None:
        self._note("restart", node_id)
        super().restart(node_id)

    def terminate(self, node_id: str) -> None:
        self._note("terminate", node_id)
        super().terminate(node_id)

    def create_file_system(self, file_system_id: str) -> None:
        self._note("create_file_system", file_system_id)

    def delete_file_system(self, file_system_id: str) -> None:
        self._note("delete_file_system", file_system_id)

    def _note(self, call: str, id: str) -> None:
        self.calls.append((call, id))
        if call in self.failing:
            raise RuntimeError(f"{call} fails, as ordered")


@dataclass
class Answer:
    """The answer to a request, whose shape was checked."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Any:
        assert self.status == 200, self.body
        return self.body["data"]

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.body["error"]["code"]

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


class Api:
    """The application in this process, with clocks that stand still."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.backend = Recorder(self.clock)
        self.store = Store(None)
        self.app = create_app(
            self.store,
            self.backend,
            api_key=KEY,
            clock=self.clock,
            wall_clock=self.clock,
            **{"limits": False, **options},
        )
        self._client = self.app.test_client()

    def raw(self, method: str, path: str, **options: Any) -> Any:
        """Flask's answer to any request; a path without /api/v1 or /lab gets the former."""
        prefix = "" if path.startswith(("/api/", "/lab/")) else PREFIX
        return self._client.open(prefix + path, method=method, **{"headers": BEARER, **options})

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """A request with a JSON body, whose answer is checked against the contract."""
        if body is not None:
            options["data"] = json.dumps(body)
        return checked(method, path, self.raw(method, path, **options))

    def key(self, name: str = "key") -> str:
        """Adds an SSH key."""
        return str(self("POST", "/ssh-keys", {"name": name, "public_key": PUBLIC_KEY}).data["id"])

    def file_system(self, name: str = "fs", region: str = REGION) -> str:
        """Makes a file system."""
        return str(self("POST", "/filesystems", {"name": name, "region": region}).data["id"])

    def launch(self, **fields: Any) -> Answer:
        """Launches a compute node, but for what is said otherwise; None leaves a field out."""
        return self("POST", "/instance-operations/launch", launch_body(**fields))

    def launched(self, **fields: Any) -> str:
        """The same, for the ID."""
        return str(self.launch(**fields).data["instance_ids"][0])

    def instance(self, id: str) -> dict[str, Any]:
        return dict(self("GET", f"/instances/{id}").data)

    def pass_seconds(self, seconds: float) -> None:
        self.clock.now += seconds


def launch_body(**fields: Any) -> dict[str, Any]:
    body = {"region_name": REGION, "instance_type_name": COMPUTE, "ssh_key_names": ["key"], **fields}
    return {name: value for name, value in body.items() if value is not None}


def checked(method: str, path: str, response: Any) -> Answer:
    """An answer of Flask's client; fails where it is not what the contract says of its route."""
    assert response.content_type == "application/json", response.content_type
    body = json.loads(response.get_data())
    if response.status_code == 200:
        rule = ANSWERS.get((method, route(path)))
        assert rule is None or problems(body["data"], rule) == []
    else:
        assert problems(body, ERROR, "body") == []
        assert response.status_code in STATUSES[body["error"]["code"]]
    return Answer(response.status_code, body, dict(response.headers))


def route(path: str) -> str:
    """`/instances/0123` to `/instances/{id}`."""
    parts = path.partition("?")[0].removeprefix(PREFIX).split("/")
    if len(parts) == 3 and parts[1] != "instance-operations":
        parts[2] = "{id}"
    return "/".join(parts)


class Server:
    """A server in a process of its own; a context that leaves nothing running."""

    def __init__(self, **options: Any) -> None:
        self._options = {"port": 0, "api_key": KEY, "limits": False, **options}

    def __enter__(self) -> Server:
        lab = Path(__file__).resolve().parents[1]
        options = ", ".join(f"{name}={_source(value)}" for name, value in self._options.items())
        code = f"from pathlib import Path; from onecc_lab.api import serve; serve({options})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=lab,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.line = self.process.stdout.readline().strip()
        self.url = self.line.rpartition(" ")[2]
        if not self.url.startswith("http://127.0.0.1:"):
            raise RuntimeError(self.stop()[1])
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Sends a signal; the exit status and what was written to standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        if not self.process.stderr.closed:
            self.stderr = self.process.communicate(timeout=30)[1]
        return self.process.returncode, self.stderr

    def __call__(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """A request over loopback. Raises as urllib does where no whole answer comes."""
        prefix = "" if path.startswith(("/api/", "/lab/")) else PREFIX
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + prefix + path, data=data, headers=BEARER if headers is None else headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, json.load(response), dict(response.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error), dict(error.headers))


def _source(value: Any) -> str:
    return f"Path({str(value)!r})" if isinstance(value, Path) else repr(value)
