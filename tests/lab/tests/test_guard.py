# SPDX-License-Identifier: GPL-3.0-or-later
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from onecc_lab import guard

# Two generations that leave their session, as daemons do; each writes down its id.
DAEMONS = 'echo $$ > {0}/1; setsid sh -c "echo \\$\\$ > {0}/2; setsid sleep 300 & echo \\$! > {0}/3; exit 0" & sleep 300'


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def ids(folder: Path) -> list[int]:
    assert wait_for(lambda: all((folder / str(n)).exists() and (folder / str(n)).read_text().strip() for n in (1, 2, 3)))
    return [int((folder / str(n)).read_text()) for n in (1, 2, 3)]


def test_closing_the_pipe_ends_daemons_too(tmp_path):
    process, hold = guard.run(["sh", "-c", DAEMONS.format(tmp_path)])
    pids = ids(tmp_path)
    os.close(hold)
    assert process.wait(timeout=10) == 143
    assert not any(alive(pid) for pid in pids)


def test_an_asker_killed_by_sigkill_leaves_nothing(tmp_path):
    code = "import sys; from onecc_lab import guard; p, _ = guard.run(['sh', '-c', sys.argv[1]]); p.wait()"
    environment = os.environ | {"PYTHONPATH": str(Path(guard.__file__).parents[1])}
    asker = subprocess.Popen([sys.executable, "-c", code, DAEMONS.format(tmp_path)], env=environment)
    pids = ids(tmp_path)
    asker.send_signal(signal.SIGKILL)
    asker.wait()
    assert wait_for(lambda: not any(alive(pid) for pid in pids))


def test_the_status_is_the_commands_own():
    process, hold = guard.run(["sh", "-c", "exit 7"])
    assert process.wait(timeout=10) == 7
    os.close(hold)


def test_what_a_finished_command_left_is_ended(tmp_path):
    process, hold = guard.run(["sh", "-c", f"setsid sleep 300 & echo $! > {tmp_path}/pid"])
    assert process.wait(timeout=10) == 0
    assert not alive(int((tmp_path / "pid").read_text()))
    os.close(hold)


def test_afterwards_runs_only_for_a_command_that_was_ended(tmp_path):
    afterwards = ["touch", str(tmp_path / "cleared")]
    process, hold = guard.run(["true"], afterwards=afterwards)
    assert process.wait(timeout=10) == 0
    os.close(hold)
    assert not (tmp_path / "cleared").exists()
    process, hold = guard.run(["sleep", "300"], afterwards=afterwards)
    os.close(hold)
    assert process.wait(timeout=10) == 143
    assert (tmp_path / "cleared").exists()
