# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.onecc.cluster.plugins.filter.apt_source import apt_source
from ansible_collections.onecc.cluster.plugins.plugin_utils import _openpgp
from hypothesis import given
from hypothesis import strategies as st

# Made by `gpg --quick-gen-key "Test <test@example.org>" ed25519 sign never`, which also said the fingerprint.
KEY = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawZTGRYJKwYBBAHaRw8BAQdA0MgTjZAiIPuh+npRXXKUrrkhxHRAsTCVqtzD
wEI1pii0F1Rlc3QgPHRlc3RAZXhhbXBsZS5vcmc+iJAEExYIADgWIQRA9UFkfTaE
e3k33KMlC4be5D8Y/AUCawZTGQIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAK
CRAlC4be5D8Y/F+XAQD9JCUHk0SPTbc0QGKRlcPsbr0Qq15UoLCJczHWJdAhtwEA
nkp8l5pUIxZR15Ak3EtAqcD/bQB7TUdhhL0+kezl/QM=
=Wt4t
-----END PGP PUBLIC KEY BLOCK-----
"""
FINGERPRINT = "40F541647D36847B7937DCA3250B86DEE43F18FC"
SOURCE = {
    "url": "http://archive.example/ubuntu", "suite": "jammy", "component": "main", "key": KEY, "fingerprint": FINGERPRINT,
    "origin": "lambdalabs.com", "priority": 1001,
}


def error(**fields: object) -> str:
    with pytest.raises(AnsibleFilterError) as raised:
        apt_source({**SOURCE, **fields}, "x")
    return raised.value.message


def armoured(data: bytes) -> str:
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{base64.b64encode(data).decode()}\n-----END PGP PUBLIC KEY BLOCK-----\n"


def packets() -> bytes:
    return base64.b64decode("".join(line for line in KEY.splitlines()[2:-1] if not line.startswith("=")))


def test_the_files():
    keyring, source, pin = apt_source(SOURCE, "lambda-repository")
    assert keyring == {"path": "/etc/apt/keyrings/lambda-repository.asc", "content": KEY}
    assert source["path"] == "/etc/apt/sources.list.d/lambda-repository.list"
    line = "deb [signed-by=/etc/apt/keyrings/lambda-repository.asc] http://archive.example/ubuntu jammy main"
    assert source["content"].splitlines()[1] == line and source["content"].startswith("# ")
    assert pin["path"] == "/etc/apt/preferences.d/lambda-repository"
    assert pin["content"].splitlines()[1:] == ["Package: *", "Pin: release o=lambdalabs.com", "Pin-Priority: 1001"]


def test_a_flat_source_has_no_component():
    assert apt_source({**SOURCE, "suite": "./"}, "x")[1]["content"].endswith("/ubuntu ./\n")


@pytest.mark.parametrize("fingerprint", [FINGERPRINT.lower(), " ".join(FINGERPRINT[i:i + 4] for i in range(0, 40, 4))])
def test_a_fingerprint_as_people_write_it(fingerprint):
    assert apt_source({**SOURCE, "fingerprint": fingerprint}, "x") == apt_source(SOURCE, "x")


def test_white_space_around_the_key_makes_no_difference():
    for key in (f"\n{KEY}\n\n", KEY.replace("\n", "\r\n"), KEY.strip()):
        assert apt_source({**SOURCE, "key": key}, "x")[0]["content"].replace("\r\n", "\n") == KEY


def test_another_key_is_refused():
    message = error(fingerprint="A310EEBB4F8306BA74C95999A53D8F269E8A5A13")
    assert FINGERPRINT in message and "declared is A310EEBB4F8306BA74C95999A53D8F269E8A5A13" in message


def test_a_second_key_beside_the_declared_one_is_refused():
    """apt would trust it as well."""
    body = b"\4" + b"another key"
    assert "has the fingerprint" in error(key=armoured(packets() + b"\x98" + bytes([len(body)]) + body))
    assert "has the fingerprint" in error(key=armoured(b"\xc6" + bytes([len(body)]) + body + packets()))
    assert "not one ASCII-armoured" in error(key=KEY + KEY)


@pytest.mark.parametrize(("key", "words"), [
    ("", "not one ASCII-armoured"),
    ("A310EEBB", "not one ASCII-armoured"),
    (KEY.replace("PUBLIC", "PRIVATE"), "not one ASCII-armoured"),
    (KEY[:200], "not one ASCII-armoured"),
    (armoured(b""), "holds no key"),
    (armoured(packets()[:40]), "is cut off"),
    (armoured(b"\x94\x02\4a"), "holds a secret key"),
    (armoured(b"\x98\x02\6a"), "not of version 4"),
    (armoured(b"\x01\x02"), "is damaged"),
    (armoured(b"\x9b\x02"), "is damaged"),
])
def test_what_is_no_key(key, words):
    assert words in error(key=key)


@given(st.binary(max_size=60))
def test_no_packets_break_it(data):
    for text in (armoured(data), data.decode("latin-1")):
        try:
            _openpgp.fingerprints(text)
        except _openpgp.NotTheKey:
            pass


@pytest.mark.parametrize(("field", "value"), [
    ("url", "archive.example"), ("url", "http://x y"), ("url", "http://x\ndeb http://y"), ("url", "http://[trusted=yes]"), ("url", "-x"),
    ("suite", ""), ("suite", "jammy main"), ("suite", "jammy\n"), ("suite", "["), ("component", "main\n"), ("component", "#"),
    ("origin", "x\nPin-Priority: 1"), ("origin", ""), ("fingerprint", "A310"), ("fingerprint", FINGERPRINT + "\n"),
])
def test_a_field_that_would_be_more_than_a_word(field, value):
    assert f"{field} is {value!r}; allowed is" in error(**{field: value})
