# SPDX-License-Identifier: GPL-3.0-or-later
"""The package repositories, as this computer's own apt sees them: in a root of its own, over loopback."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from client import Api, Server

from onecc_lab import debs, repository
from onecc_lab.config import Config, Shape

LAMBDA = "jammy main"
DISTRIBUTION = "jammy restricted"
FLAT = "./"

PIN = "Package: *\nPin: release o=lambdalabs.com\nPin-Priority: 1001\n"


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache for these tests alone, so that they see the repositories being built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def server(_cache: None) -> Iterator[Server]:
    # With limits: they are not for packages.
    with Server(limits=True) as server:
        yield server
        server("PUT", "/lab/repositories", dict.fromkeys(repository.NAMES, "healthy"))


@pytest.fixture(scope="module")
def data() -> dict[str, debs.Repository]:
    return debs.load()


class Apt:
    """apt with sources, lists and a list of installed packages of its own, in a folder."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        for name in ("lists/partial", "archives/partial", "log", "preferences.d"):
            (folder / name).mkdir(parents=True)
        (folder / "sources.list").touch()
        (folder / "preferences").touch()
        settings = {
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "0",
            "Acquire::http::Proxy": "DIRECT",
            "Dir::Cache": folder,
            "Dir::Cache::archives": folder / "archives",
            "Dir::Etc::Parts": "/dev/null",
            "Dir::Etc::Preferences": folder / "preferences",
            "Dir::Etc::PreferencesParts": folder / "preferences.d",
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Trusted": "/dev/null",
            "Dir::Etc::TrustedParts": "/dev/null",
            "Dir::Log": folder / "log",
            "Dir::State": folder,
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
        }
        (folder / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
        self.installed()

    def installed(self, *packages: str) -> None:
        """Says what dpkg has installed: NAME=VERSION, of what is in the lists, or NAME, of what every node has."""
        stanzas = []
        for package in ("python3", "debconf", *packages):
            known = self("apt-cache", "show", package).stdout if "=" in package else f"Package: {package}\nArchitecture: amd64\nVersion: 9\n"
            fields = [line for line in known.splitlines() if not re.match(r"(Filename|Size|MD5sum|SHA\d+|Date):|$", line)]
            stanzas.append("\n".join([*fields, "Status: install ok installed", ""]))
        (self.folder / "status").write_text("\n".join(stanzas))

    def source(self, address: str, suite: str, key: str | None = None) -> None:
        """Adds a repository, trusted by the key that it publishes unless another file is named."""
        url = f"{self.server.url}/repositories/{address}"
        if key is None:
            name = debs.load()[address.partition("-")[0]].key_files[0]
            key = str(self.folder / name)
            Path(key).write_bytes(fetch(f"{url}/{name}"))
        with (self.folder / "sources.list").open("a") as out:
            out.write(f"deb [signed-by={key}] {url} {suite}\n")

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        """apt-get or apt-cache; its standard error is in its output."""
        return subprocess.run(
            command, env={**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
        )  # fmt: skip

    def update(self) -> None:
        done = self("apt-get", "update")
        assert done.returncode == 0, done.stdout
        assert not re.search(r"^(W|E|Err)", done.stdout, re.MULTILINE), done.stdout

    def planned(self, *arguments: str) -> dict[str, str]:
        """Version by package, of what apt-get would install."""
        done = self("apt-get", "--simulate", "--yes", *arguments)
        assert done.returncode == 0, done.stdout
        return dict(re.findall(r"^Inst (\S+) .*?\((\S+) ", done.stdout, re.MULTILINE))

    def candidate(self, package: str) -> str:
        policy = self("apt-cache", "policy", package).stdout
        return re.search(r"Candidate: (\S+)", policy)[1]


@pytest.fixture
def apt(tmp_path: Path, server: Server) -> Apt:
    return Apt(tmp_path, server)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def one(data: dict[str, debs.Repository], name: str, version: str) -> debs.Package:
    """The package of Lambda's repository whose version begins so."""
    return next(package for package in data["lambda"].packages if package.name == name and package.version.startswith(version))


def relations(package: debs.Package) -> dict[str, str]:
    """Exact version by name of what a package depends on."""
    return dict(re.findall(r"(\S+) \(= (\S+)\)", package.value("Depends")))


@pytest.mark.parametrize(("address", "suite"), [("lambda", LAMBDA), ("doca", FLAT), ("mlnx_ofed", FLAT), ("distribution", DISTRIBUTION)])
def test_apt_trusts_a_healthy_repository_by_its_own_key(apt: Apt, address: str, suite: str, data) -> None:
    apt.source(address, suite)
    apt.update()
    listed = apt("apt-cache", "pkgnames").stdout.split()
    assert {package.name for package in data[address].packages if not package.newer} <= set(listed)
    letters = {"Origin": "o", "Label": "l", "Suite": "a", "Codename": "n", "Components": "c"}
    policy = apt("apt-cache", "policy").stdout
    for name, value in data[address].release.items():
        assert re.search(rf"\b{letters[name]}={value}\b", policy)


@pytest.mark.parametrize(("address", "suite"), [("lambda", LAMBDA), ("doca", FLAT), ("mlnx_ofed", FLAT), ("distribution", DISTRIBUTION)])
def test_apt_trusts_no_repository_by_the_key_of_another(apt: Apt, address: str, suite: str) -> None:
    other = "lambda" if address == "doca" else "doca"
    key = apt.folder / "other.asc"
    key.write_bytes(fetch(f"{apt.server.url}/repositories/{other}/{debs.load()[other].key_files[1]}"))
    apt.source(address, suite, str(key))
    done = apt("apt-get", "update")
    assert done.returncode == 100
    assert "NO_PUBKEY" in done.stdout


@pytest.mark.parametrize(
    ("name", "suite", "state", "words"),
    [
        ("lambda", LAMBDA, "wrong-key", ["NO_PUBKEY", "is not signed"]),
        ("lambda", LAMBDA, "expired", ["is expired (invalid since", "Updates for this repository will not be applied"]),
        ("lambda", LAMBDA, "tampered-packages", ["Hash Sum mismatch"]),
        ("lambda", LAMBDA, "tampered-release", ["BADSIG", "is not signed"]),
        ("doca", FLAT, "tampered-packages", ["Hash Sum mismatch"]),
    ],
)
def test_apt_refuses_a_repository_that_is_broken(apt: Apt, name: str, suite: str, state: str, words: list[str]) -> None:
    apt.source(f"{name}-{state}", suite)
    done = apt("apt-get", "update")
    assert done.returncode == 100
    for text in words:
        assert text in done.stdout


def test_a_package_that_is_missing_is_found_out_by_who_wants_it(apt: Apt) -> None:
    apt.source("lambda-missing", LAMBDA)
    apt.update()
    done = apt("apt-get", "--yes", "--download-only", "install", "libnccl-dev")
    assert done.returncode == 100
    assert re.search(r"Failed to fetch \S+/libnccl2_\S+\.deb +404", done.stdout)
    assert apt("apt-get", "--yes", "--download-only", "install", "libcudart12").returncode == 0


def test_one_metapackage_brings_the_matched_set(apt: Apt, data) -> None:
    apt.source("lambda", LAMBDA)
    apt.update()
    planned = apt.planned("install", "lambda-stack-cuda")
    exact = relations(one(data, "lambda-stack-cuda", planned["lambda-stack-cuda"]))
    assert planned["lambda-stack-cuda"] == "0.1.16~22.04.1"
    assert {name: planned[name] for name in exact} == exact
    driver = {name: version for name, version in planned.items() if version.startswith("580.")}
    assert set(driver.values()) == {"580.105.08-0lambda0.22.04.1"}
    assert {"nvidia-fabricmanager", "nvidia-firmware-580-server-580.105.08", "nvidia-utils-580-server"} <= driver.keys()
    assert {"libnccl2", "libnccl-dev", "openmpi-bin", "nvidia-container-toolkit", "python3-torch-cuda"} <= exact.keys()
    assert not [name for name in planned if "570" in name]


def test_an_older_set_has_to_be_named_whole_and_takes_the_place_of_the_newer_one(apt: Apt, data) -> None:
    apt.source("lambda", LAMBDA)
    apt.update()
    apt.installed(*(f"{name}={version}" for name, version in apt.planned("install", "lambda-stack-cuda").items()))
    old = one(data, "lambda-stack-cuda", "0.1.15~22.04.2")
    alone = apt("apt-get", "--simulate", "--yes", "--allow-downgrades", "install", f"{old.name}={old.version}")
    assert alone.returncode == 100
    assert "unmet dependencies" in alone.stdout

    driver = [f"{package.name}={package.version}" for package in data["lambda"].packages if package.version.startswith("570.148")]
    exact = [f"{name}={version}" for name, version in relations(old).items()]
    toolkit = [f"{package.name}={package.version}" for package in data["lambda"].packages if package.version.startswith("1.17.8")]
    everything = {f"{old.name}={old.version}", *driver, *exact, *toolkit}
    planned = apt.planned("--allow-downgrades", "install", *everything)
    assert {f"{name}={version}" for name, version in planned.items()} <= everything
    assert planned["nvidia-fabricmanager-570"] == "570.148.08-0lambda0.22.04.1"


def test_the_pin_prefers_lambda_to_newer_packages_of_the_distribution(apt: Apt) -> None:
    apt.source("lambda", LAMBDA)
    apt.source("distribution", DISTRIBUTION)
    apt.update()
    assert apt.candidate("libnccl2") == "2.30.7-0ubuntu0.22.04.1"
    apt.installed("libnccl2=2.30.7-0ubuntu0.22.04.1")
    assert apt.planned("dist-upgrade") == {}

    (apt.folder / "preferences").write_text(PIN)
    assert apt.candidate("libnccl2") == "2.27.7-0lambda0.22.04.1"
    assert apt.planned("dist-upgrade", "--allow-downgrades") == {"libnccl2": "2.27.7-0lambda0.22.04.1"}
    assert set(apt.planned("--allow-downgrades", "install", "lambda-stack-cuda").values()) & {
        "580.159.03-0ubuntu0.22.04.1", "2.30.7-0ubuntu0.22.04.1", "4.1.9-0ubuntu0.22.04.1"
    } == set()  # fmt: skip


def test_doca_takes_the_place_of_the_rdma_packages_of_debian(apt: Apt) -> None:
    family = ("rdma-core", "libibverbs1", "ibverbs-providers", "librdmacm1", "libibumad3", "ibverbs-utils", "infiniband-diags")
    apt.installed(*family)
    (apt.folder / "status").write_text((apt.folder / "status").read_text().replace("Version: 9", "Version: 44.0-2"))
    apt.source("doca", FLAT)
    apt.update()
    planned = apt.planned("install", "doca-ofed")
    assert {planned[name] for name in family} == {"2510mlnx61-1.2510128"}
    assert planned["mlnx-ofed-kernel-dkms"] == "25.10.OFED.25.10.1.2.8.1-1"


def test_newer_versions_are_published_when_ordered_and_withdrawn_again(apt: Apt, data) -> None:
    apt.source("lambda", LAMBDA)
    apt.update()
    apt.installed(*(f"{name}={version}" for name, version in apt.planned("install", "lambda-stack-cuda").items()))
    assert apt.planned("dist-upgrade") == {}
    answer = apt.server("PUT", "/lab/repositories", {"lambda": "newer"})
    assert answer.data == {"lambda": "newer", "doca": "healthy", "mlnx_ofed": "healthy", "distribution": "healthy"}
    apt.update()
    upgrades = apt.planned("dist-upgrade")
    assert upgrades["lambda-stack-cuda"] == "0.1.16~22.04.2"
    assert upgrades["nvidia-utils-580-server"] == "580.126.09-0lambda0.22.04.1"

    apt.server("PUT", "/lab/repositories", {"lambda": "healthy"})
    apt.update()
    assert apt.planned("dist-upgrade") == {}


def test_a_second_update_fetches_nothing_that_is_known(apt: Apt) -> None:
    apt.source("lambda", LAMBDA)
    assert "Get:1 " in apt("apt-get", "update").stdout
    assert "Hit:1 " in apt("apt-get", "update").stdout


@pytest.mark.parametrize("name", repository.NAMES)
def test_packages_hold_what_the_data_say(name: str, data) -> None:
    pool = repository.ensure(name, "healthy") / "pool"
    assert {file.name for file in pool.iterdir()} == {package.file_name for package in data[name].packages}
    for package in data[name].packages:
        unpacked = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", str(pool / package.file_name)], check=True, stdout=subprocess.PIPE
        ).stdout
        found = {}
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
            for member in tar:
                assert (member.uid, member.gid, member.mtime) == (0, 0, debs.EPOCH)
                if member.issym():
                    found[member.name[1:]] = debs.File(link=member.linkname)
                elif member.isfile():
                    found[member.name[1:]] = debs.File(tar.extractfile(member).read())
                    assert member.mode == (0o755 if found[member.name[1:]].executable else 0o644), member.name
        assert found == package.files


def test_what_stands_in_for_libraries_and_frameworks_can_be_loaded(tmp_path: Path, data) -> None:
    pool = repository.ensure("lambda", "healthy") / "pool"
    for name in ("libnccl2", "libcudnn9", "libcudart12", "python3-torch-cuda", "python3-tensorflow-cuda"):
        subprocess.run(["dpkg-deb", "-x", str(pool / one(data, name, _latest(data, name)).file_name), str(tmp_path)], check=True)
    code = """
import ctypes, json, torch, torch.distributed.fsdp, torch.nn.parallel, tensorflow
runtime = ctypes.c_int()
assert ctypes.CDLL("libcudart.so.12").cudaRuntimeGetVersion(ctypes.byref(runtime)) == 0
print(json.dumps([torch.__version__, tensorflow.__version__, torch.version.cuda, torch.cuda.nccl.version(), runtime.value,
                  ctypes.CDLL("libcudnn.so.9").cudnnGetVersion(), torch.distributed.is_nccl_available()]))
"""
    folders = {
        "PYTHONPATH": tmp_path / "usr/lib/python3/dist-packages",
        "LD_LIBRARY_PATH": tmp_path / "usr/lib/x86_64-linux-gnu",
    }
    environ = {**os.environ, **{name: str(folder) for name, folder in folders.items()}, "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run([sys.executable, "-c", code], env=environ, check=True, stdout=subprocess.PIPE).stdout
    assert json.loads(said) == ["2.8.0", "2.19.0", "12.8", [2, 27, 7], 12080, 91002, True]


def _latest(data, name: str) -> str:
    """The version of a package in the newest set that is published."""
    stack = one(data, "lambda-stack-cuda", "0.1.16~22.04.1")
    return relations(stack)[name]


def test_the_same_data_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = repository.ensure("distribution", "healthy")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    again = repository.ensure("distribution", "healthy")
    assert again != before
    for name in ("Release", "restricted/binary-amd64/Packages.gz"):
        assert (again / "dists/jammy" / name).read_bytes() == (before / "dists/jammy" / name).read_bytes()
    # But each cache has keys of its own.
    assert (again / "ubuntu-archive-keyring.gpg").read_bytes() != (before / "ubuntu-archive-keyring.gpg").read_bytes()


def test_keys_last_while_the_data_change() -> None:
    before = repository.ensure("doca", "healthy")
    key = (before / "GPG-KEY-Mellanox.gpg").read_bytes()
    assert (repository.root() / "keys").stat().st_mode & 0o777 == 0o700
    shutil.rmtree(before.parent)  # as if they had never been built from these data
    assert (repository.ensure("doca", "healthy") / "GPG-KEY-Mellanox.gpg").read_bytes() == key


def test_what_they_are_made_from_is_in_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = tmp_path / "onecc_lab"
    shutil.copytree(Path(repository.__file__).parent, lab, ignore=shutil.ignore_patterns("data", "__pycache__"))
    monkeypatch.setattr(repository, "__file__", str(lab / "repository.py"))
    seen = {repository.made_from()}
    for file in [lab / "packages/repositories.yml", lab / "packages/nvidia-smi", lab / "elf.py", lab / "debs.py", lab / "archive.py"]:
        file.write_text(file.read_text() + "\n")
        assert repository.made_from() not in seen, file
        seen.add(repository.made_from())


def test_a_tool_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gpg").symlink_to(shutil.which("gpg"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(repository.RepositoryError, match="apt-ftparchive.*debian-packages.txt"):
        repository.ensure("lambda", "healthy")


def test_the_servers_names_are_those_of_the_data(data) -> None:
    assert tuple(data) == repository.NAMES
    for entry in data.values():
        assert entry.missing in {package.name for package in entry.packages}


def test_sets_that_contradict_each_other_are_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(debs, "DATA", shutil.copytree(debs.DATA, tmp_path / "packages"))
    data = tmp_path / "packages/repositories.yml"
    data.write_text(data.read_text().replace('depends: ["libcudart12 (= ', 'depends: ["nvidia-utils (= {{ driver }}), libcudart12 (= '))
    with pytest.raises(debs.DataError, match=r"lambda: two sets give nvidia-cuda-toolkit 12\.8\.93\S+ different contents"):
        debs.load()


def test_a_field_that_is_misspelt_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(debs, "DATA", shutil.copytree(debs.DATA, tmp_path / "packages"))
    data = tmp_path / "packages/repositories.yml"
    data.write_text(data.read_text().replace("      depends: [debconf]", "      depend: [debconf]"))
    with pytest.raises(debs.DataError, match="libcudnn9: no such field: depend"):
        debs.load()


@pytest.mark.parametrize(
    "path", ["nothing/Release", "lambda-nothing/Release", "lambda/nothing", "lambda/dists", "lambda/../doca/Release",
             "lambda/%2e%2e/%2e%2e/keys/lambda.asc", "lambda//etc/passwd", "-healthy/Release", "keys/lambda.asc"],
)  # fmt: skip
def test_nothing_else_is_served(server: Server, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(f"{server.url}/repositories/{path}")
    with caught.value as error:
        assert error.code == 404
        assert json.load(error)["error"]["code"] == "global/not-found"


def test_an_order_needs_the_key() -> None:
    assert Api()("PUT", "/lab/repositories", {"lambda": "newer"}, headers={}).error == (401, "global/invalid-api-key")


@pytest.mark.parametrize(
    ("order", "words"),
    [({"lambada": "newer"}, "lambada: must be one of lambda, doca, mlnx_ofed, distribution"),
     ({"lambda": "new"}, "lambda: must be one of healthy, newer"), ({"doca": ["newer"]}, "doca: must be one of healthy"),
     ({"lambda": "newer", "doca": None}, "doca: must be one of")],
)  # fmt: skip
def test_a_wrong_order_changes_nothing(order, words: str) -> None:
    api = Api()
    answer = api("PUT", "/lab/repositories", order)
    assert answer.error == (400, "global/invalid-parameters")
    assert words in answer.message
    assert set(api("PUT", "/lab/repositories", {}).data.values()) == {"healthy"}


def test_packages_are_no_requests_of_the_api_but_can_be_faulted(server: Server) -> None:
    url = f"{server.url}/repositories/lambda/lambda.asc"
    server("PUT", "/lab/faults", {"faults": [{"path": "/repositories/lambda", "status": 503}]})
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(url)
    caught.value.close()
    assert caught.value.code == 503
    assert fetch(url).startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")
    assert "repositories" not in json.dumps(server("GET", "/lab/requests").data)


def test_where_nodes_find_them() -> None:
    lab = Config("x", 7, "key", "c" * 32, False, "/image", "tcg", Shape())
    assert lab.repositories_url == "http://10.0.2.2:18007/repositories"


def test_the_name_of_a_file_has_no_epoch() -> None:
    package = dataclasses.replace(next(iter(debs.load()["doca"].packages)), version="1:2.0-1")
    assert package.file_name == f"{package.name}_2.0-1_amd64.deb"
