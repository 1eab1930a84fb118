# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from client import BEARER, Api, Server

INSTANCES = "/api/v1/instances"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(heads=1, compute=1) as server:
        yield server


def order(server: Server | Api, *faults: dict[str, Any]) -> Any:
    return server("PUT", "/lab/faults", {"faults": list(faults)})


def fault(path: str, status: int, code: str) -> dict[str, Any]:
    return {"path": path, "status": status, "body": {"error": {"code": code, "message": "m"}}}


def test_a_fault_is_answered_so_many_times() -> None:
    api = Api()
    assert order(api, {**fault(INSTANCES, 503, "provider/internal-unavailable"), "times": 2}).data == {"due": 2}
    assert [api("GET", "/instances").status for _time in range(3)] == [503, 503, 200]


def test_faults_come_in_their_order_and_by_their_path() -> None:
    api = Api()
    order(
        api,
        fault("/api/v1/images", 500, "global/internal-error"),
        fault("/api/v1", 429, "global/too-many-requests"),
    )
    assert [api("GET", path).status for path in ("/regions", "/images", "/images")] == [429, 500, 200]


def test_new_faults_replace_what_is_due() -> None:
    api = Api()
    order(api, {"path": "/", "status": 500, "times": 5})
    assert order(api).data == {"due": 0}
    assert api("GET", "/instances").status == 200


def test_a_fault_comes_before_the_key_is_checked_but_needs_it_to_be_ordered() -> None:
    api = Api()
    assert api("PUT", "/lab/faults", {"faults": []}, headers={}).error == (401, "global/invalid-api-key")
    order(api, fault(INSTANCES, 503, "provider/internal-unavailable"))
    assert api("GET", "/instances", headers={}).status == 503


def test_headers_and_pages_come_as_ordered(server: Server) -> None:
    page = "<html>maintenance</html>"
    order(
        server,
        {"path": INSTANCES, "status": 429, "headers": {"Retry-After": "7"}, "body": {"error": {}}},
        {"path": INSTANCES, "status": 200, "content_type": "text/html", "body": page},
    )
    assert server("GET", "/instances").headers["Retry-After"] == "7"
    request = urllib.request.Request(server.url + INSTANCES, headers=BEARER)
    with urllib.request.urlopen(request, timeout=10) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/html")
        assert response.read().decode() == page


def test_a_connection_is_cut_without_an_answer(server: Server) -> None:
    order(server, {"path": INSTANCES, "cut": True})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        server("GET", "/instances")
    assert len(server("GET", "/instances").data) == 2


def test_an_answer_is_cut_off_in_its_middle(server: Server) -> None:
    order(server, {"path": INSTANCES, "status": 200, "body": '{"data": [', "headers": {"Content-Length": "1000"}})
    with pytest.raises(http.client.IncompleteRead):
        server("GET", "/instances")
    assert len(server("GET", "/instances").data) == 2


def test_a_right_answer_is_delayed(server: Server) -> None:
    order(server, {"path": INSTANCES, "delay_seconds": 0.4})
    started = time.monotonic()
    assert len(server("GET", "/instances").data) == 2
    assert time.monotonic() - started >= 0.4


def test_faults_are_in_the_journal() -> None:
    api = Api()
    order(api, fault(INSTANCES, 503, "provider/internal-unavailable"))
    api("GET", "/instances")
    assert api("GET", "/lab/requests").data["counts"] == {"GET /api/v1/instances 503": 1}


@pytest.mark.parametrize(
    "wrong",
    [1, None, {}, {"path": 1}, {"path": "/", "status": 99}, {"path": "/", "status": 600}, {"path": "/", "status": True},
     {"path": "/", "status": "500"}, {"path": "/", "status": 101}, {"path": "/", "times": 0}, {"path": "/", "times": 1.5},
     {"path": "/", "headers": []}, {"path": "/", "headers": {"a": 1}}, {"path": "/", "headers": {"a": "b\r\nc: d"}},
     {"path": "/", "headers": {"": "b"}}, {"path": "/", "headers": {"a": "é"}}, {"path": "/", "content_type": "a\nb"},
     {"path": "/", "content_type": None}, {"path": "/", "delay_seconds": -1}, {"path": "/", "delay_seconds": 601},
     {"path": "/", "delay_seconds": "1"}, {"path": "/", "cut": 1}, {"path": "/", "typo": 1}],
)  # fmt: skip
def test_a_wrong_fault_is_refused(wrong: Any) -> None:
    api = Api()
    answer = order(api, {"path": "/", "status": 500}, wrong)
    assert answer.error == (400, "global/invalid-parameters")
    assert answer.message.startswith("faults[1]")
    assert api("GET", "/instances").status == 200


@pytest.mark.parametrize("body", [{}, {"faults": {}}, {"faults": None}])
def test_faults_are_a_list(body: Any) -> None:
    assert Api()("PUT", "/lab/faults", body).message.startswith("faults:")


def test_request_paths_may_not_be_faulted_for_the_lab_itself(server: Server) -> None:
    order(server, {"path": "/", "status": 500})
    assert server("GET", "/lab/requests").status == 200
    assert order(server).status == 200


def test_a_status_without_a_body_is_answered_so(server: Server) -> None:
    order(server, {"path": INSTANCES, "status": 503})
    with pytest.raises(ValueError):
        server("GET", "/instances")
    with pytest.raises(urllib.error.HTTPError) as caught:
        order(server, {"path": INSTANCES, "status": 503})
        urllib.request.urlopen(urllib.request.Request(server.url + INSTANCES, headers=BEARER), timeout=10)
    with caught.value as error:
        assert (error.code, error.read()) == (503, b"")
