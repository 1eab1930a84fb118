# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One cluster as the plugin finds it in an API on loopback, and as Ansible's own static YAML of the very same data."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HEADS = 3  # a 1-Click Cluster has three
KEY = "secret_bench.0123456789abcdef"


def instance(number: int) -> dict[str, object]:
    """A row of GET /instances as the API's OpenAPI document has it. The first few are head nodes."""
    head = number < HEADS
    name = f"us-east-2-1cc-{'head' if head else 'node'}-{number + 1 if head else number + 1 - HEADS}"
    return {
        "id": f"{number:032x}",
        "name": name,
        "ip": f"198.51.100.{number + 1}" if head else None,
        "private_ip": f"10.19.{number // 250}.{number % 250 + 1}",
        "status": "active",
        "ssh_key_names": ["ops"],
        "file_system_names": ["data"],
        "file_system_mounts": [{"mount_point": "/lambda/nfs/data", "file_system_id": "f" * 32}],
        "region": {"name": "us-east-2", "description": "Washington DC"},
        "instance_type": {
            "name": "cpu_4x_general" if head else "gpu_8x_h100_sxm5gdr",
            "description": "4x CPU General" if head else "8x H100 (80 GB SXM5)",
            "gpu_description": "N/A" if head else "H100 (80 GB SXM5)",
            "price_cents_per_hour": 8 if head else 2392,
            "specs": {"vcpus": 4 if head else 208, "memory_gib": 16 if head else 1800, "storage_gib": 512, "gpus": 0 if head else 8},
        },
        "hostname": name,
        "jupyter_token": f"{number:064x}",
        "jupyter_url": f"https://jupyter-{number:032x}.cloud.example/?token={number:064x}",
        "is_reserved": True,
        "actions": {
            action: {"available": True} for action in ("migrate", "rebuild", "restart", "cold_reboot", "terminate")
        },
        "tags": [{"key": "team", "value": "vision"}],
        "firewall_rulesets": [],
    }


def static(listing: dict[str, Any]) -> dict[str, Any]:
    """What `ansible-inventory --list --export` says, as the content of a YAML inventory."""
    variables = listing["_meta"]["hostvars"]
    groups: dict[str, Any] = {}
    for name, group in listing.items():
        if name != "_meta":
            hosts = {host: plain(variables.get(host, {})) for host in group.get("hosts", [])}
            children = {child: None for child in group.get("children", [])}
            groups[name] = {"hosts": hosts, "children": children, "vars": plain(group.get("vars", {}))}
    return groups


def plain(value: Any) -> Any:
    """The value without the mark that Ansible's JSON puts around strings that are no templates. In YAML there is none."""
    if isinstance(value, dict):
        return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@contextlib.contextmanager
def served(count: int) -> Iterator[str]:
    """An API that lists so many instances, at the URL that is given."""
    body = json.dumps({"data": [instance(number) for number in range(count)]}).encode()

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
