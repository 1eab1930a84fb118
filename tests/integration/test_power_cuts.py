# SPDX-License-Identifier: GPL-3.0-or-later
"""The power fails while nvme_raid makes its volume. A plain site.yml must then end in state, wherever it was.

A stand-in in the node's path for one of the programs that the role runs says on the console that the moment has come;
the test pulls the plug. `--moments N` tries N of them, spread over the whole run; without it, one.
"""

from __future__ import annotations

import time

import pytest
from conftest import NODE, Lab, kill
from test_nvme_raid import UNBUILD

SAY = "onecc-test: cut now"

# Program, words among its arguments, and the moment: before it, after it, or so many seconds into it, on drives that
# are slowed down to make that long.
MOMENTS = [
    ("mkfs.xfs", "", 0.5),
    ("mdadm", "--create", "before"),
    ("update-initramfs", "", 5),
    ("mdadm", "--create", 0.1),
    ("mdadm", "--create", 0.4),
    ("mdadm", "--create", 0.8),
    ("mdadm", "--create", "after"),
    ("udevadm", "settle", "before"),
    ("udevadm", "settle", "after"),
    ("mkfs.xfs", "", "before"),
    ("mkfs.xfs", "", 0.2),
    ("mkfs.xfs", "", 1),
    ("mkfs.xfs", "", 2),
    ("mkfs.xfs", "", "after"),
    ("update-initramfs", "", "before"),
    ("update-initramfs", "", 15),
    ("update-initramfs", "", "after"),
    ("systemctl", "daemon-reload", "before"),
    ("systemctl", "reenable", "before"),
    ("systemctl", "start", "before"),
    ("systemctl", "start", "after"),
]
# Half a file system and half an array. The others by `make faults`.
FEW = 2
# Bytes a second, for what a login starts: mkfs.xfs on four drives of 1 GiB then takes seconds.
SLOW = """
for drive in /dev/nvme?n1; do systemctl set-property --runtime user.slice "IOWriteBandwidthMax=$drive 400K"; done
"""

STAND_IN = """
cat > /usr/local/sbin/{program} <<'END'
#!/bin/sh
real=$(PATH=/usr/sbin:/usr/bin command -v {program})
case " $* " in *"{words}"*) ;; *) exec "$real" "$@" ;; esac
case {moment} in
before) ;;
after) "$real" "$@" ;;
*) "$real" "$@" & sleep {moment} ;;
esac
echo '{say}' > /dev/ttyS0
exec sleep 600
END
chmod 0755 /usr/local/sbin/{program}
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    count = metafunc.config.getoption("--moments")
    chosen = MOMENTS[:count] if count else MOMENTS[:FEW]
    metafunc.parametrize("moment", chosen, ids=lambda moment: " ".join(map(str, moment)))


@pytest.mark.spoils(NODE)
def test_next_run_ends_in_state(lab: Lab, moment: tuple[str, str, str | float]) -> None:
    program, words, when = moment
    machine = lab.machine(NODE)
    lab.ssh(NODE, UNBUILD + STAND_IN.format(program=program, words=words, moment=when, say=SAY) + "sync")
    if program in ("mdadm", "mkfs.xfs"):
        lab.ssh(NODE, SLOW)
    console = machine.folder / "console"
    said = console.read_text(errors="replace").count(SAY)
    run = lab.start("site", "--limit", NODE)
    try:
        while console.read_text(errors="replace").count(SAY) == said:
            assert run.poll() is None, f"site.yml ended before the moment came:\n{run.stdout.read()}"
            time.sleep(0.02)
    finally:
        machine.cut()
        kill(run)
    lab.boot(NODE)
    lab.ssh(NODE, f"rm -f /usr/local/sbin/{program}; sync")
    done = lab.site("--limit", NODE)
    assert done.rc == 0, done.output
    assert done.status(NODE) == "converged"
    assert lab.verify("--limit", NODE).rc == 0
    assert lab.ssh(NODE, "findmnt -n -o FSTYPE /scratch; cat /sys/block/$(basename $(readlink -f /dev/md/scratch))/md/raid_disks") == "xfs\n4"
