# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether sshd goes by the role's file: as read here, and as sshd itself says over generated configurations."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import accounts, specs, sshd
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.captured import Captured
from hypothesis import assume, given, settings
from hypothesis import strategies as st

INCLUDE = "Include /etc/ssh/sshd_config.d/*.conf\n"
SAYS = "pubkeyauthentication yes\nusepam yes\npermitrootlogin without-password\nauthenticationmethods any\n"
READ = "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2 /etc/ssh/onecc/%u\n"


@pytest.fixture
def machine(tmp_path):
    """A node with Debian's configuration and the role's file, whose sshd says that it goes by it."""
    found = Captured(tmp_path)
    found.write(sshd.CONFIG, f"# first\n{INCLUDE}UsePAM yes\nSubsystem sftp /usr/lib/openssh/sftp-server\n")
    found.write(sshd.OURS, f"AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 {sshd.KEYS}\n")
    found.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nada:x:2001:2001::/home/ada:/bin/bash\n")
    found.write("/etc/group", "ada:x:2001:\nvideo:x:44:ada\n")
    found.write("/etc/shadow", "ada:!:19000:0:99999:7:::\n")
    found.answers[sshd.PROGRAM] = Completed(0, SAYS + READ)
    return found


def wrong(machine: Captured, name: str = "ada", files: tuple[str, ...] = tuple(specs.AUTHORIZED_KEYS_FILES)) -> str:
    found = list(sshd.check(machine, [{"name": name, "groups": ["ops"], "authorized_keys_files": list(files)}]))
    assert all(item["name"] == name and (item["remedy"] == "manual") for item in found)
    return "".join(item["message"] for item in found)


def test_a_node_in_state(machine):
    assert wrong(machine) == ""
    os.unlink(machine.path(sshd.OURS))  # before the first run
    machine.answers[sshd.PROGRAM] = Completed(0, SAYS + "authorizedkeysfile .ssh/authorized_keys\n")
    assert wrong(machine) == ""


def test_a_node_without_sshd(machine):
    os.unlink(machine.path(sshd.CONFIG))
    assert wrong(machine) == ""


@pytest.mark.parametrize("text", [
    "UsePAM yes\n", f"#{INCLUDE}", f"Match User bob\n{INCLUDE}", "Include /etc/ssh/other.d/*.conf\n", "Include sshd_config.d/*.cfg\n",
])
def test_a_configuration_that_does_not_include_the_file(machine, text):
    """Said before the file is written, too."""
    machine.write(sshd.CONFIG, text)
    assert "Include" in wrong(machine)
    os.unlink(machine.path(sshd.OURS))
    assert "Include" in wrong(machine)


@pytest.mark.parametrize("text", [
    "include sshd_config.d/*.conf\n", "Include=/etc/ssh/sshd_config.d/*\n", 'Include "/etc/ssh/sshd_config.d/00-onecc.conf" # ours\n',
    f"Match User bob\nX11Forwarding no\nMatch all\n{INCLUDE}", f"Include /etc/ssh/none /etc/ssh/a.conf\n{INCLUDE}",
])
def test_other_ways_to_include_it(machine, text):
    machine.write(sshd.CONFIG, text)
    machine.write("/etc/ssh/a.conf", "Match User bob\nAuthorizedKeysFile none\n")
    assert wrong(machine) == ""


def test_what_is_included_in_a_block_is_for_nobody_else(machine):
    """Also behind a `Match all` of its own."""
    machine.write(sshd.CONFIG, f"{INCLUDE}Match User bob\nInclude /etc/ssh/bob.conf\n")
    machine.write("/etc/ssh/bob.conf", "Match all\nAuthorizedKeysFile /a/%u\n")
    assert wrong(machine) == ""


def test_a_setting_before_the_include_counts(machine):
    machine.write(sshd.CONFIG, f"AuthorizedKeysFile /etc/ssh/keys/%u\n{INCLUDE}")
    assert f"{sshd.CONFIG} line 1" in wrong(machine)
    machine.write(sshd.CONFIG, f"AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 {sshd.KEYS}\n{INCLUDE}")
    assert wrong(machine) == ""


@pytest.mark.parametrize(("site", "declared", "refused"), [
    ("/etc/ssh/authorized_keys/%u", specs.AUTHORIZED_KEYS_FILES, True),
    ("/etc/ssh/authorized_keys/%u", ["/etc/ssh/authorized_keys/%u"], False),
    ("none", specs.AUTHORIZED_KEYS_FILES, True),
    ("none", [], False),
    (".ssh/authorized_keys", specs.AUTHORIZED_KEYS_FILES, True),
    ("%h/.ssh/authorized_keys .ssh/authorized_keys2", specs.AUTHORIZED_KEYS_FILES, False),
    (None, ["/etc/ssh/authorized_keys/%u"], True),
])
def test_who_may_log_in_is_never_widened(machine, site, declared, refused):
    if site:
        machine.write("/etc/ssh/sshd_config.d/50-site.conf", f"AuthorizedKeysFile {site}\n")
    assert bool(wrong(machine, files=tuple(declared))) is refused


@pytest.mark.parametrize(("says", "part"), [
    (SAYS + "authorizedkeysfile /etc/ssh/keys/%u\n", "AuthorizedKeysFile"),
    (SAYS.replace("tion yes", "tion no") + READ, "PubkeyAuthentication"),
    (SAYS.replace("methods any", "methods password keyboard-interactive") + READ, "AuthenticationMethods"),
    (SAYS.replace("usepam yes", "usepam no") + READ, "locked"),
    (SAYS + READ + "allowusers bob\nallowusers eve\n", "allowusers"),
    (SAYS + READ + "allowgroups wheel\n", "allowgroups"),
    (SAYS + READ + "denyusers a*\n", "denyusers"),
    (SAYS + READ + "denygroups video\n", "denygroups"),
    (SAYS + READ + "allowusers bob\nallowusers ad?@10.*\nallowgroups ops\ndenyusers ada@1.2.3.4\ndenygroups wheel\n", None),
    (SAYS.replace("methods any", "methods publickey,password publickey") + READ, None),
])
def test_what_sshd_says_counts(machine, says, part):
    machine.answers[sshd.PROGRAM] = Completed(0, says)
    found = wrong(machine)
    assert (part in found) if part else found == ""


def test_the_line_of_a_match_block_is_named(machine):
    machine.write("/etc/ssh/sshd_config.d/60-site.conf", "Match Group video\n  AuthorizedKeysFile /etc/ssh/keys/%u\n")
    machine.answers[sshd.PROGRAM] = Completed(0, SAYS + "authorizedkeysfile /etc/ssh/keys/%u\n")
    assert "/etc/ssh/sshd_config.d/60-site.conf line 2" in wrong(machine)


def test_root_may_be_kept_out(machine):
    machine.answers[sshd.PROGRAM] = Completed(0, SAYS.replace("without-password", "no") + READ)
    assert "PermitRootLogin" in wrong(machine, "root") and wrong(machine) == ""


@pytest.mark.parametrize(("done", "differs"), [
    (Completed(255, "", "/etc/ssh/sshd_config: line 3: Bad configuration option: Foo"), True),
    (Completed(1, "", "sshd: no hostkeys available -- exiting."), False),
    (Completed(255, "", "Missing privilege separation directory: /run/sshd"), False),
    (Completed(127, "", "not found"), False),
])
def test_what_sshd_does_not_take(machine, done, differs):
    machine.answers[sshd.PROGRAM] = done
    assert bool(wrong(machine)) is differs


def test_sshd_is_asked_from_where_the_run_comes(machine):
    machine.write(f"/proc/{os.getpid()}/environ", "SSH_CONNECTION=10.0.0.9 5 10.0.0.1 22\0")
    wrong(machine)
    assert machine.ran[-1] == (sshd.PROGRAM, "-T", "-C", "user=ada,host=10.0.0.9,addr=10.0.0.9,laddr=10.0.0.1,lport=22")
    machine.write(f"/proc/{os.getpid()}/environ", "SSH_CONNECTION=x,user=root 5 10.0.0.1 22\0")
    assert accounts.connection(machine)[0] == "127.0.0.1"


REAL = shutil.which("sshd", path=os.pathsep.join(["/usr/sbin", str(Path(__file__).resolve().parents[5] / ".cache/sshd/usr/sbin")]))
KEYWORDS = st.sampled_from([
    "AuthorizedKeysFile /a/%u", "AuthorizedKeysFile=/b/%u /c", "authorizedkeysfile none", "PermitRootLogin no", "Match User ada", "Match User bob",
    "Match all", INCLUDE.strip(), "Include sub/*", "# AuthorizedKeysFile /d", "  X11Forwarding yes # on", "AllowGroups wheel video", "DenyUsers eve",
])
TEXTS = st.lists(KEYWORDS, max_size=6)


@pytest.mark.skipif(not REAL or not shutil.which("ssh-keygen"), reason="sshd is the judge")
@settings(max_examples=20)
@given(TEXTS, TEXTS, TEXTS)
def test_sshd_itself_agrees(main, included, below):
    with tempfile.TemporaryDirectory() as folder:
        machine = Captured(Path(folder))
        texts = {sshd.CONFIG: main, sshd.OURS: [], "/etc/ssh/sshd_config.d/50-a.conf": [line for line in included if "Include" not in line],
                 "/etc/ssh/sub/x": [line for line in below if "Include" not in line]}
        texts[sshd.OURS] = [f"AuthorizedKeysFile {sshd.KEYS}"]
        for path, lines in texts.items():
            machine.write(path, "".join(f"{line}\n" for line in lines))
            there = "".join(f"{line}\n" for line in lines).replace("/etc/ssh/ssh", f"{folder}/real/ssh").replace("sub/", f"{folder}/real/sub/")
            machine.write(path.replace("/etc/ssh", "/real"), there)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
        done = subprocess.run(
            [REAL, "-T", "-h", f"{folder}/key", "-f", f"{folder}/real/sshd_config", "-C", "user=zoe,host=h,addr=127.0.0.1,laddr=127.0.0.1,lport=22"],
            capture_output=True, text=True, check=False,
        )
        if done.returncode and sshd.CANNOT_TELL.search(done.stderr):
            pytest.skip(f"sshd does not say: {done.stderr}")
        assume(not done.returncode)
        said = next(line for line in done.stdout.splitlines() if line.startswith("authorizedkeysfile ")).partition(" ")[2]
        everybody = [item.value for item in sshd.for_everybody(list(sshd.settings(machine)))]
        assert sshd.key_files(said) == (sshd.key_files(everybody[0]) if everybody else specs.AUTHORIZED_KEYS_FILES)
