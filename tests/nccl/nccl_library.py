# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NCCL's real libraries, from the wheels that PyTorch's users get, and questions to them that need no GPU.

`python tests/nccl/nccl_library.py` writes down what they answer, for the unit tests.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache/nccl"
sys.path.insert(0, str(ROOT / "tests/unit"))

import nccl_questions  # noqa: E402, above its path is set

# The last of a version whose reader changed in the next, and the newest. NCCL_CONF_FILE came with 2.23.
VERSIONS = ("2.22.3", "2.26.5", "2.29.7", "2.30.7", "2.31.2", "2.32.3")
READERS = VERSIONS[1:]


def library(version: str) -> Path:
    """The library of a version, from the cache or by pip. OSError where it cannot be had."""
    path = CACHE / version / "libnccl.so.2"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--dest", folder,
            f"nvidia-nccl-cu12=={version}",
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise OSError(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else f"pip ended with {result.returncode}")
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith("/libnccl.so.2"))
            whole = Path(folder) / "libnccl.so.2"
            with wheel.open(member) as source, whole.open("wb") as target:
                while data := source.read(1 << 20):
                    target.write(data)
        whole.rename(path)
    return path


def names(path: Path) -> tuple[set[str], set[str]]:
    """What follows NCCL_ in a library's strings: as a whole string, and as the end of one, which a linker lets overlap."""
    data = path.read_bytes()
    whole, ends = (re.findall(pattern, data) for pattern in (rb"\0NCCL_([A-Z][A-Z0-9_]*)(?=\0)", rb"NCCL_([A-Z][A-Z0-9_]*)\0"))
    return {name.decode() for name in whole}, {name.decode() for name in ends}


def read(path: Path, data: bytes) -> tuple[dict[str, str], bool]:
    """What a library puts into the environment from a file, and whether its bootstrap found an interface."""
    with tempfile.TemporaryDirectory() as home:
        conf = Path(home) / "conf"
        conf.write_bytes(data)
        answer = _child(path, {"HOME": home, "NCCL_CONF_FILE": str(conf)})
    said = json.loads(answer.splitlines()[-1])
    return said["environment"], said["result"] == 0


def accepts(path: Path) -> dict[str, list[str]]:
    """The words of the variables of which the library itself has a list, from NCCL 2.30 on."""
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as home:
        for line in _child(path, {"HOME": home, "NCCL_PARAM_DUMP_ALL": "1"}).splitlines():
            if match := re.match(r"NCCL_(\w+) \(", line):
                words = found[match[1]] = []
            elif match := re.match(r"    Accepted value: (Boolean|One of|Comma-separated list of|\w+)", line):
                words.append(match[1])
            elif found and (match := re.match(r"        (\w+) - ", line)):
                words.append(match[1])
    return found


def _child(path: Path, environment: dict[str, str]) -> str:
    command = [sys.executable, __file__, str(path)]
    result = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True)
    return result.stdout.decode("utf-8", "replace")


def ask(path: str) -> None:
    """Asks a library in a process of its own, which is what it changes."""
    def present() -> list[bytes]:
        pointer, found = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ"), []
        while pointer[len(found)]:
            found.append(pointer[len(found)])
        return found

    before = present()
    loaded = ctypes.CDLL(path)
    result = loaded.ncclGetUniqueId(ctypes.create_string_buffer(128))
    if hasattr(loaded, "ncclParamDumpAll"):
        loaded.ncclParamDumpAll()
    ctypes.CDLL(None).fflush(None)
    changed = [item.decode("latin-1").partition("=") for item in present() if item not in before]
    print("\n" + json.dumps({"environment": {name: value for name, _equals, value in changed}, "result": result}), flush=True)


def answers(version: str) -> dict:
    path = library(version)
    found: dict = {"files": {}, "bootstraps": {}}
    for name, data in nccl_questions.FILES.items():
        found["files"][name] = read(path, data)[0]
    for name, data in nccl_questions.BOOTSTRAPS.items():
        found["bootstraps"][name] = read(path, data)[1]
    if listed := accepts(path):
        found["accepts"] = listed
    return found


def main() -> None:
    if sys.argv[1:]:
        ask(sys.argv[1])
    else:
        said = {version: answers(version) for version in READERS}
        nccl_questions.ANSWERS.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
