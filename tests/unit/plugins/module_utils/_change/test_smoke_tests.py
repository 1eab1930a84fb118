# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._change import smoke_tests


class Node:
    """A module's half that runs the real programs with the Python of the tests, and libraries from a folder of the test."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def run_command(self, argv: list[str], environ_update: dict, cwd: str) -> tuple[int, str, str]:
        assert argv[:2] == ["timeout", "300"]
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(self.folder)!r})\n{argv[-1]}"] if argv[2:5] == [
            *smoke_tests.PYTHON] else argv
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
        return done.returncode, done.stdout, done.stderr

    def package(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def torch(node: Node, distributed: str = "def is_available(): return True\ndef is_nccl_available(): return True\n") -> None:
    node.package("torch/__init__.py", "__version__ = '2.7.0+cu128'\n")
    node.package("torch/distributed/__init__.py", distributed)
    node.package("torch/distributed/fsdp.py", "FullyShardedDataParallel = None\n")
    node.package("torch/nn/parallel.py", "DistributedDataParallel = None\n")


def test_pytorch(node):
    torch(node)
    assert smoke_tests.load(node, "pytorch") == (True, "2.7.0+cu128")


def test_pytorch_without_nccl(node):
    torch(node, "def is_available(): return True\ndef is_nccl_available(): return False\n")
    assert smoke_tests.load(node, "pytorch") == (False, "it is built without torch.distributed or without NCCL")


def test_pytorch_without_fsdp(node):
    torch(node)
    node.package("torch/distributed/fsdp.py", "")
    loaded, why = smoke_tests.load(node, "pytorch")
    assert not loaded and "FullyShardedDataParallel" in why


def test_a_module_that_prints_when_it_is_imported(node):
    node.package("tensorflow.py", "print('using 3.1.4 threads')\n__version__ = '2.19.0'\n")
    assert smoke_tests.load(node, "tensorflow") == (True, "2.19.0")


def test_what_is_missing_is_named(node):
    loaded, why = smoke_tests.load(node, "tensorflow")
    assert not loaded and "No module named 'tensorflow'" in why


def test_a_library_that_is_missing_is_named(node, monkeypatch):
    monkeypatch.setitem(smoke_tests.COMMANDS, "nccl", (*smoke_tests.PYTHON, smoke_tests.NCCL.replace("libnccl", "libnosuch")))
    loaded, why = smoke_tests.load(node, "nccl")
    assert not loaded and "libnosuch.so.2" in why


class Answers:
    """A module's half that is told what a program says."""

    def __init__(self, *answer: object) -> None:
        self.answer = answer

    def run_command(self, *_arguments: object, **_options: object) -> tuple:
        return self.answer


@pytest.mark.parametrize(("component", "answer", "expected"), [
    ("open_mpi", (0, "mpirun (Open MPI) 4.1.7\n\nReport bugs to http://www.open-mpi.org/community/help/\n", ""), (True, "4.1.7")),
    ("open_mpi", (127, "", "timeout: failed to run command 'mpirun': No such file or directory\n"),
     (False, "timeout: failed to run command 'mpirun': No such file or directory")),
    ("nccl", (124, "", ""), (False, "it is not loaded after 300 s")),
    ("pytorch", (139, "", ""), (False, "exit status 139")),
    ("rdma", (0, "loaded\n", ""), (True, "loaded")),
])
def test_what_programs_say(component, answer, expected):
    assert smoke_tests.load(Answers(*answer), component) == expected
