# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is sent, the answer is JSON of the API's shape, and never the server's fault."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from client import BEARER, COMPUTE, HEAD, PUBLIC_KEY, REGION, Api
from contract import ANSWERS
from hypothesis import given, settings
from hypothesis import strategies as st

ROUTES = sorted(ANSWERS)
POSTS = [path for method, path in ROUTES if method == "POST"] + ["/lab/faults"]

character = st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("\x00\t\n\r\x1b\x85\u2028{}%\"'\\/-")
# Not st.text(): that takes the surrogates out of an alphabet of several parts.
text = st.lists(character, max_size=70).map("".join)
leaf = st.none() | st.booleans() | st.integers() | st.floats() | text | st.just("key") | st.just(REGION)
value = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)
some = settings(max_examples=150, deadline=None)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have any of these fields, each right or anything."""
    return st.fixed_dictionaries({}, optional={name: right | value for name, right in fields.items()})


MOUNTS = st.lists(
    optional(file_system_id=st.just("F" * 32), mount_point=st.from_regex(r"/data[/a-z]{0,9}", fullmatch=True)),
    max_size=3,
)
NEARLY = {
    "/instance-operations/launch": optional(
        region_name=st.just(REGION),
        instance_type_name=st.sampled_from([COMPUTE, HEAD]),
        ssh_key_names=st.just(["key"]),
        file_system_names=st.lists(st.just("fs"), max_size=2),
        file_system_mounts=MOUNTS,
        hostname=st.from_regex(r"[a-z0-9][0-9a-z-]{0,62}", fullmatch=True),
        name=text,
        image=optional(id=text, family=st.just("lambda-stack-22-04")),
        user_data=text,
        tags=st.lists(optional(key=st.from_regex(r"[a-z][a-z0-9-:]+", fullmatch=True), value=text), max_size=3),
        quantity=st.just(1),
    ),
    "/instance-operations/restart": optional(instance_ids=st.lists(text, max_size=3)),
    "/instance-operations/terminate": optional(instance_ids=st.lists(text, max_size=3)),
    "/instances/{id}": optional(name=text),
    "/filesystems": optional(name=st.from_regex(r"[a-zA-Z]+[0-9a-zA-Z-]*", fullmatch=True), region=st.just(REGION)),
    "/ssh-keys": optional(name=text, public_key=st.just(PUBLIC_KEY) | text.map(lambda t: f"{PUBLIC_KEY} {t}")),
    "/lab/faults": optional(
        faults=st.lists(
            optional(
                path=st.just("/lab/none"), times=st.integers(), status=st.integers(), body=value, cut=st.booleans(),
                headers=st.dictionaries(text, text, max_size=2), content_type=text, delay_seconds=st.floats(),
            ),
            max_size=2,
        )
    ),
}  # fmt: skip


def api_with_things() -> Api:
    api = Api()
    api.key()
    api.file_system()
    return api


API = api_with_things()


def send(method: str, path: str, data: bytes, **options: Any) -> None:
    """Fails where the answer is no JSON of the contract (see `client.checked`) or an error of the server."""
    answer = API(method, path, data=data, **options)
    API("PUT", "/lab/faults", {"faults": []})  # or the next answer would be what this one ordered
    assert answer.status < 500, answer.body


@pytest.mark.parametrize("path", POSTS)
@some
@given(st.data())
def test_nearly_right_bodies(path: str, data: st.DataObject) -> None:
    body = json.dumps(data.draw(NEARLY[path])).encode()
    send("PUT" if path == "/lab/faults" else "POST", path, body)


@some
@given(st.sampled_from(POSTS), value)
def test_any_json(path: str, body: Any) -> None:
    send("PUT" if path == "/lab/faults" else "POST", path, json.dumps(body).encode())


@some
@given(
    st.sampled_from(POSTS),
    st.binary(max_size=300),
    st.text(max_size=20).map(lambda t: t.encode("ascii", "ignore").decode()),
)
def test_any_bytes(path: str, body: bytes, content_type: str) -> None:
    clean = "".join(c for c in content_type if c.isprintable())
    send("PUT" if path == "/lab/faults" else "POST", path, body, content_type=clean)


@some
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
    st.binary(max_size=60),
    st.binary(max_size=60),
)
def test_any_address(method: str, path: bytes, query: bytes) -> None:
    for start in ("/", "/instances/", "/ssh-keys/", "/filesystems/", "/api/", "/lab/"):
        send(method, f"{start}{quote(path, safe='/')}", b"", query_string=quote(query, safe="=&%"))


@some
@given(st.sampled_from(ROUTES), st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60))
def test_any_authorization(route: tuple[str, str], header: str) -> None:
    for prefix in ("", "Bearer ", "Basic "):
        answer = API(*route, headers={**BEARER, "Authorization": prefix + header})
        assert answer.error == (401, "global/invalid-api-key")
