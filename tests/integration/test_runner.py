# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks as a program runs them, through ansible-runner: by the very example that docs/embedding.md shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import CHECKOUT, HEAD, NODE, OTHER_HEAD, OTHER_NODE, Lab

EXAMPLE = re.findall(r"^```python\n(.*?)^```$", (CHECKOUT / "docs" / "embedding.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
# The mode of the directory that stands for the volume where there are no drives: a change that is mended in a second.
DIFFERS = {("mounts", "/scratch")}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Callable:
    """The function of the example, in the environment of the lab's user."""
    for name, value in lab.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(CHECKOUT)
    names: dict = {"__name__": "embed"}
    exec(EXAMPLE, names)
    return names["run"]


class Told:
    """What the events said of each node, in their order."""

    def __init__(self) -> None:
        self.drift: dict[str, list[set[tuple[str, str]]]] = {}

    def __call__(self, host: str, drift: list[dict], preflight: list[dict]) -> None:
        assert preflight == []
        self.drift.setdefault(host, []).append({(item["kind"], item["name"]) for item in drift})


def test_drift_is_data_and_site_mends_it(lab: Lab, run: Callable, tmp_path: Path) -> None:
    """First the example as it stands, by another Python than the one that the tests have imported everything into."""
    lab.ssh(HEAD, "chmod 0755 /scratch")
    (tmp_path / "embed.py").write_text(EXAMPLE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "embed.py"), "verify"], cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    ended = json.loads(done.stdout.splitlines()[-1])
    assert (ended["status"], ended["rc"]) == ("failed", 2)
    others = dict.fromkeys((OTHER_HEAD, NODE, OTHER_NODE), "in_state")
    assert {host: entry["status"] for host, entry in ended["hosts"].items()} == {HEAD: "drift", **others}
    assert f"{NODE} [] []" in done.stdout

    told = Told()
    rc, status, said = run("site", on_drift=told)
    hosts = said["hosts"]
    assert (rc, status) == (0, "successful")
    # Before and after.
    assert told.drift == {HEAD: [DIFFERS, set()], OTHER_HEAD: [set()], NODE: [set()], OTHER_NODE: [set()]}
    assert hosts[HEAD]["status"] == "converged" and hosts[HEAD]["mended"]


def test_cancelled_run_is_taken_up(lab: Lab, run: Callable) -> None:
    # The change waits as for another run, so that it is under way when it is cancelled.
    lab.ssh(HEAD, "chmod 0755 /scratch; install -d -m 0700 /run/onecc; systemd-run --quiet --collect --unit=onecc-test-holder flock /run/onecc/mutex sleep 600")
    seen = SimpleNamespace(drift=False)

    def on_drift(_host: str, drift: list[dict], _preflight: list[dict]) -> None:
        seen.drift = seen.drift or bool(drift)

    rc, status, said = run("site", on_drift=on_drift, cancelled=lambda: seen.drift)
    assert (rc, status, said["hosts"]) == (254, "canceled", {})
    lab.ssh(HEAD, "systemctl stop onecc-test-holder")
    done = lab.site()
    assert done.rc == 0, done.output
