# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two controllers at once, a controller that is killed, and what the preflight says before anything is changed."""

from __future__ import annotations

import json
import signal
import time

import pytest
from conftest import HEAD, NODE, OTHER_HEAD, Lab
from test_nvme_raid import UNBUILD

# What a run prints when it begins with something, and how many seconds later it is killed: spread over a first run.
MOMENTS = [
    ("Converge the roles with drift", 1.0, signal.SIGKILL),
    ("Converge the roles with drift", 0.0, signal.SIGTERM),
    ("Converge the roles with drift", 0.3, signal.SIGTERM),
    ("Converge the roles with drift", 0.6, signal.SIGKILL),
    ("Converge the roles with drift", 1.5, signal.SIGTERM),
    ("Converge the roles with drift", 2.0, signal.SIGKILL),
    ("Converge the roles with drift", 4.0, signal.SIGTERM),
    ("Converge the roles with drift", 8.0, signal.SIGKILL),
    ("Detect drift", 0.2, signal.SIGTERM),
]
# The rest by `make thorough`.
FEW = 1

BUILT = "findmnt -n -o FSTYPE /scratch; cat /sys/block/$(basename $(readlink -f /dev/md/scratch))/md/raid_disks"
# What a task has while it runs: processes, the folders of a module, and the files that durable renames.
LEFT = "pgrep --full BECOME-SUCCESS- || true; ls -d /tmp/ansible_* /root/.ansible/tmp/* /etc/.onecc-* /var/lib/onecc/*/.onecc-* 2>/dev/null || true"

# Looks like a task of another controller's: sudo, and the shell of root.
TASK = """
rm -f /run/onecc-test-ended
systemd-run --quiet --collect sudo -H -S -n -u root /bin/sh -c 'echo BECOME-SUCCESS-onecctest ; sleep 20; touch /run/onecc-test-ended'
"""


def text_until(process, words: str) -> str:
    """What the run prints up to the line with these words."""
    printed = ""
    for line in process.stdout:
        printed += line
        if words in line:
            return printed
    raise AssertionError(f"site.yml ended before it came to {words!r}:\n{printed}")


def built(lab: Lab) -> None:
    """The node is in state, by its own word and by the machine's."""
    third = lab.verify()
    assert third.rc == 0, third.output
    assert lab.ssh(NODE, BUILT) == "xfs\n4"


def test_two_runs_at_once_end_in_state(lab: Lab) -> None:
    lab.ssh(NODE, UNBUILD)
    reports = [lab.folder / "one.json", lab.folder / "other.json"]
    runs = [lab.start("site", "--limit", NODE, ONECC_REPORT=str(report)) for report in reports]
    outputs = [run.communicate(timeout=1800)[0] for run in runs]
    for run, output, report in zip(runs, outputs, reports):
        assert run.returncode == 0, output
        assert json.loads(report.read_text())["hosts"][NODE]["status"] in ("converged", "in_state")
    built(lab)


@pytest.mark.parametrize(
    "moment",
    [pytest.param(moment, marks=() if number < FEW else pytest.mark.thorough) for number, moment in enumerate(MOMENTS)],
    ids=lambda moment: f"{moment[2].name} {moment[1]} s after {moment[0]}",
)
def test_killed_controller_is_taken_up(lab: Lab, moment: tuple[str, float, signal.Signals]) -> None:
    words, seconds, number = moment
    lab.ssh(NODE, UNBUILD)
    run = lab.start("site", "--limit", NODE)
    text_until(run, words)
    time.sleep(seconds)
    run.send_signal(number)
    # Its workers may live on, and hold what it printed to.
    run.wait(timeout=600)
    run.stdout.close()
    done = lab.site("--limit", NODE)
    assert done.rc == 0, done.output
    assert lab.ssh(NODE, LEFT) == ""
    built(lab)


def test_problems_keep_a_node_as_it_is(lab: Lab) -> None:
    """Another node that needs a change has no problem; and the problem does not fail a node in state."""
    lab.ssh(OTHER_HEAD, "chmod 0755 /scratch")
    lab.ssh(HEAD, "chmod 0755 /scratch; cp /usr/lib/os-release /usr/lib/os-release.kept; sed -i s/^VERSION_ID=.*/VERSION_ID=99/ /usr/lib/os-release")
    try:
        done = lab.site()
        assert done.rc == 2, done.output
        assert [item["field"] for item in done.hosts[HEAD]["preflight"]] == ["system"]
        assert "the system is debian 99" in done.output
        assert done.status(HEAD) == "drift" and done.drift(HEAD) == {("mounts", "/scratch")}
        assert lab.ssh(HEAD, "stat -c %a /scratch; chmod 1777 /scratch") == "755"
        assert (done.status(OTHER_HEAD), done.status(NODE)) == ("converged", "in_state")
        in_state = lab.site("--limit", HEAD)
        assert (in_state.rc, in_state.status(HEAD)) == (0, "in_state"), in_state.output
        assert [item["field"] for item in in_state.hosts[HEAD]["preflight"]] == ["system"]
    finally:
        lab.ssh(HEAD, "mv /usr/lib/os-release.kept /usr/lib/os-release")


def test_run_waits_for_a_task_of_another_one(lab: Lab) -> None:
    lab.ssh(HEAD, "chmod 0755 /scratch\n" + TASK)
    done = lab.site("--limit", HEAD)
    assert (done.rc, done.status(HEAD)) == (0, "converged"), done.output
    ended, mended = lab.ssh(HEAD, "stat -c %Y /run/onecc-test-ended; stat -c %Z /scratch").split()
    assert int(ended) <= int(mended)


def test_user_without_root_rights_is_told(lab: Lab) -> None:
    lab.ssh(HEAD, "useradd --create-home plain; cp -r ~ubuntu/.ssh ~plain/; chown -R plain: ~plain/.ssh")
    try:
        for run in (lab.site, lab.verify):
            done = run("--limit", HEAD, "-e", "ansible_user=plain")
            assert done.rc == 2, done.output
            assert done.status(HEAD) == "failed" and done.hosts[HEAD]["preflight"][0]["field"] == "rights"
            assert "the user plain has no root rights" in done.output and "Managed Slurm" in done.output
            assert "Traceback" not in done.output
    finally:
        lab.ssh(HEAD, "pkill -u plain || true; sleep 1; userdel --remove plain 2>/dev/null")
