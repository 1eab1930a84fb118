# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils import _lambda_api as api

KEY = "secret_test_0123.abcdef"
URL = "https://cloud.example"
INSTANCES = URL + "/api/v1/instances"


class Script:
    """A transport that answers by script, and a clock that only sleeping moves."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.slept = []
        self.time = 1000.0

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds

    def client(self, **options):
        return api.Client(
            URL, KEY, transport=self, clock=lambda: self.time, now=lambda: 0.0, sleep=self.sleep, jitter=lambda: 0.5, **options
        )


def answer(status=200, data=None, body=None, **headers):
    body = json.dumps({"data": [] if data is None else data}).encode() if body is None else body
    return api.Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def refusal(status, code, message="No.", suggestion=None):
    return answer(status, body=json.dumps({"error": {"code": code, "message": message, "suggestion": suggestion}}).encode())


@pytest.mark.parametrize("suffix", ["", "/", "///", "/api/v1", "/api/v1/", " \n"])
def test_base_url_takes_what_people_write(suffix):
    assert api.base_url(URL + suffix) == URL + "/api/v1"


def test_base_url_keeps_port_and_path():
    assert api.base_url("https://gateway.example:8443/lambda/api/v1/") == "https://gateway.example:8443/lambda/api/v1"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://127.9.9.9", "http://[::1]:1", "http://localhost/"])
def test_plain_http_is_for_loopback(url):
    assert api.base_url(url).endswith("/api/v1")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://cloud.lambda.ai", "in the clear"),
        ("http://127.0.0.1.evil.example", "in the clear"),
        ("http://localhost.evil.example", "in the clear"),
        ("http://0.0.0.0", "in the clear"),
        ("https://user:hunter2@cloud.lambda.ai", "user name or password"),
        ("http://127.0.0.1@evil.example", "user name or password"),
        ("cloud.lambda.ai", "must begin with https://"),
        ("ftp://cloud.lambda.ai", "must begin with https://"),
        ("https://", "must begin with https://"),
        ("", "must begin with https://"),
        ("https://cloud.lambda.ai:99999", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://cloud.lambda.ai/?x=1", "scheme, host and path"),
        ("https://cloud.lambda.ai/#x", "scheme, host and path"),
        ("https://cloud.lambda.ai\r\nX-Evil: 1", "API URL"),
        ("https://cloud lambda.ai", "scheme, host and path"),
    ],
)
def test_base_url_refuses_the_rest_with_a_reason(url, says):
    with pytest.raises(api.ConfigError, match=says) as error:
        api.base_url(url)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("key", ["", " \n", "two words", "line\nbreak", "k\xe9y", "nul\0"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key):
    with pytest.raises(api.ConfigError) as error:
        api.checked_key(key)
    assert not key.strip() or key not in str(error.value)


def test_the_line_break_at_the_end_of_a_key_file_does_no_harm():
    assert api.checked_key(KEY + "\n") == KEY


def test_instances_asks_for_the_cluster_with_the_key():
    script = Script(answer(data=[{"id": "1"}, 7]))
    assert script.client().instances("a&b=c/d") == [{"id": "1"}, 7]
    (request,) = script.requests
    assert request.url == INSTANCES + "?cluster_id=a%26b%3Dc%2Fd"
    assert request.method == "GET"
    assert request.headers["Authorization"] == "Bearer " + KEY


def test_all_instances_without_a_cluster():
    script = Script(answer())
    script.client().instances()
    assert script.requests[0].url == INSTANCES


def test_requests_keep_the_distance_that_the_api_asks_for():
    script = Script(answer(), answer())
    client = script.client()
    client.instances()
    script.time += 0.25
    client.file_systems()
    assert script.requests[1].url == URL + "/api/v1/file-systems"
    assert script.slept == [pytest.approx(api.REQUEST_INTERVAL - 0.25)]


@pytest.mark.parametrize(
    "failure", [refusal(429, "x"), answer(429, body=b""), refusal(500, "x"), answer(503, body=b"<html>"), api.TransportError("reset")]
)
def test_what_may_pass_is_tried_again(failure):
    script = Script(failure, failure, answer(data=[1]))
    assert script.client().instances() == [1]
    first, second = (seconds for seconds in script.slept if seconds > 0.5)  # the rest is the distance between requests
    assert first < second


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(refusal(429, "x"), api.RateLimited), (refusal(502, "provider/internal-unavailable"), api.Unavailable), (api.TransportError("reset"), api.Unavailable)],
)
def test_attempts_are_limited(failure, kind):
    script = Script(*[failure] * 20)
    with pytest.raises(kind, match=f"tried {api.ATTEMPTS} times"):
        script.client(timeout=10_000).instances()
    assert len(script.requests) == api.ATTEMPTS


def test_time_is_limited_too():
    script = Script(*[refusal(500, "x")] * 20)
    with pytest.raises(api.Unavailable):
        script.client(timeout=5).instances()
    assert script.time - 1000 < 5
    assert all(1 <= request.timeout <= 5 for request in script.requests)


@pytest.mark.parametrize(
    ("header", "pause"),
    [("3", 3.5), ("0", None), ("99999", api.RETRY_AFTER_CAP + 0.5), ("Thu, 01 Jan 1970 00:00:07 GMT", 7.5), ("Wed, 31 Dec 1969 23:59:00 GMT", None)],
)
def test_retry_after_is_honoured(header, pause):
    script = Script(answer(429, body=b"", retry_after=header), answer())
    script.client(timeout=1000).instances()
    # Where it asks for no pause to speak of, the distance between requests still holds.
    assert sum(script.slept) == pytest.approx(pause or api.REQUEST_INTERVAL)


@pytest.mark.parametrize("header", ["soon", "-1", "1e9", "", "Thu, 99 Foo 1970", "\u0663", "9" * 400])
def test_a_retry_after_that_says_nothing_is_none(header):
    assert api.retry_after(header, 0.0) is None


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_tried_again(status):
    script = Script(refusal(status, "global/invalid-api-key", "API key was invalid.", "Check it."))
    with pytest.raises(api.AuthError) as error:
        script.client().instances()
    assert error.value.status == status and error.value.code == "global/invalid-api-key"
    assert f"GET {INSTANCES} answered {status}: global/invalid-api-key: API key was invalid. Check it." in str(error.value)


HTML = b"<!DOCTYPE html><title>Just a moment</title>"


@pytest.mark.parametrize("body", [HTML, b"", b"error code: 1010", b'{"message": "Forbidden"}', b'{"error": "blocked"}', b'{"error": {}}', b"[]"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 407])
def test_what_stands_in_front_of_the_api_is_not_the_api(status, body):
    with pytest.raises(api.UnexpectedAnswer) as error:
        Script(answer(status, body=body)).client().instances()
    assert error.value.status == status and api.KEYS_PAGE not in str(error.value)


class TestPages:
    def pages(self, *found, **options):
        script = Script(*(answer(body=json.dumps(page).encode()) for page in found))
        return script, script.client(**options)

    def page(self, ids, token=None):
        return {"data": [{"id": f"{i}"} for i in ids], "page_token": token}

    def test_all_are_read_in_their_order(self):
        script, client = self.pages(self.page([3, 1], "a&b=/"), self.page([], "c"), self.page([2], ""))
        assert [row["id"] for row in client.instances("x")] == ["3", "1", "2"]
        assert [request.url.partition("?")[2] for request in script.requests] == [
            "cluster_id=x", "cluster_id=x&page_token=a%26b%3D%2F", "cluster_id=x&page_token=c",
        ]

    def test_file_systems_come_in_pages_too(self):
        _script, client = self.pages(self.page([1], "a"), self.page([2]))
        assert len(client.file_systems()) == 2

    @pytest.mark.parametrize("tokens", [["a", "a"], ["a", "b", "a"]])
    def test_tokens_that_go_round(self, tokens):
        script, client = self.pages(*(self.page([i], token) for i, token in enumerate(tokens)), self.page([9]))
        with pytest.raises(api.UnexpectedAnswer, match="page_token"):
            client.instances()
        assert len(script.requests) == len(tokens)

    @pytest.mark.parametrize("token", [1, True, {}, ["a"], "x" * (api.TOKEN_CAP + 1)])
    def test_tokens_that_are_none(self, token):
        with pytest.raises(api.UnexpectedAnswer, match="page_token"):
            self.pages(self.page([1], token), self.page([2]))[1].instances()

    def test_pages_without_an_end(self):
        script, client = self.pages(*(self.page([i], f"{i}") for i in range(100)), timeout=20)
        with pytest.raises(api.Unavailable, match="api_timeout"):
            client.instances()
        assert script.time - 1000 <= 20 + api.REQUEST_INTERVAL

    @pytest.mark.parametrize("failure", [
        refusal(404, "global/object-does-not-exist"), refusal(401, "global/invalid-api-key"), answer(403, body=HTML),
        answer(body=b'{"data": null}'), answer(body=b'{"data": [{"id": "2"}'), answer(body=b'{"error": {"code": "x"}}'),
    ])
    def test_a_page_that_fails_fails_all(self, failure):
        script = Script(answer(body=json.dumps(self.page([1], "a")).encode()), failure)
        with pytest.raises(api.ApiError):
            script.client().instances()

    def test_a_page_that_fails_for_now_is_tried_again(self):
        script = Script(answer(body=json.dumps(self.page([1], "a")).encode()), refusal(500, "x"), answer(data=[{"id": "2"}]))
        assert len(script.client().instances()) == 2

    def test_a_list_that_moved_on_is_read_again(self):
        moved, whole = (self.page([1, 2], "a"), self.page([2, 3])), (self.page([1, 2], "b"), self.page([3]))
        assert [row["id"] for row in self.pages(*moved, *whole)[1].instances()] == ["1", "2", "3"]
        with pytest.raises(api.Unavailable, match="changed while"):
            self.pages(*moved * api.READINGS)[1].instances()

    def test_twice_on_one_page_is_for_the_reader_to_judge(self):
        assert len(self.pages(self.page([1, 1], "a"), self.page([2]))[1].instances()) == 3

    def test_as_many_as_there_can_be(self, monkeypatch):
        monkeypatch.setattr(api, "ROWS_CAP", 3)
        with pytest.raises(api.UnexpectedAnswer, match="more than 3"):
            self.pages(self.page([1, 2], "a"), self.page([3, 4]))[1].instances()

    def test_the_cap_is_for_all_pages_together(self, monkeypatch):
        monkeypatch.setattr(api, "ANSWER_CAP", 100)
        long = self.page([10**40], "a")
        script, client = self.pages(long, self.page([10**41]))
        with pytest.raises(api.UnexpectedAnswer, match="no end"):
            client.instances()
        assert [request.cap for request in script.requests] == [100, 100 - len(json.dumps(long))]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<!doctype html><p>", "an HTML page in place of JSON: is LAMBDA_API_URL right"),
        (b"  <HTML>", "an HTML page"),
        (b"", "an empty answer"),
        (b'{"data": [', "something unreadable"),
        (b"\xff\xfe\x00", "something unreadable"),
        (b"[" * 200_000, "something unreadable"),
        (b"[]", "JSON that is not an object"),
        (b"{}", "JSON without `data`"),
        (b'{"data": {}}', "`data` is an object, not a list"),
        (b'{"data": null}', "`data` is null, not a list"),
        (b'{"data": "x"}', "`data` is a string, not a list"),
        (b'{"data": 1.5}', "`data` is a number, not a list"),
    ],
)
def test_an_answer_that_is_not_the_apis_is_said_to_be(body, says):
    script = Script(answer(body=body))
    with pytest.raises(api.UnexpectedAnswer, match=says):
        script.client().instances()
    assert len(script.requests) == 1


def test_a_redirect_is_an_error():
    script = Script(answer(302, body=b"", location="https://elsewhere.example/login"))
    with pytest.raises(api.UnexpectedAnswer, match="redirects to https://elsewhere.example/login, which is not followed"):
        script.client().instances()


def test_other_refusals_carry_the_code():
    with pytest.raises(api.ApiError) as error:
        Script(refusal(400, "global/invalid-parameters")).client().instances()
    assert not isinstance(error.value, (api.AuthError, api.Unavailable)) and error.value.code == "global/invalid-parameters"


def test_a_certificate_that_does_not_verify_ends_it():
    script = Script(api.TransportError("self-signed", permanent=True))
    with pytest.raises(api.NotTrusted):
        script.client().instances()


def test_what_the_server_says_cannot_show_the_key_or_act_on_a_terminal():
    script = Script(refusal(400, "x", f"key {KEY}\n\x1b[2Jgone\x00" + "y" * 5000))
    with pytest.raises(api.ApiError) as error:
        script.client().instances()
    text = str(error.value)
    assert KEY not in text and "\x1b" not in text and "\n" not in text and len(text) < 1000


@pytest.mark.parametrize("error", [[], "x", 7, {"code": 5, "message": ["x"]}, {}])
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_odd_errors_are_errors_all_the_same(status, error):
    script = Script(*[answer(status, body=json.dumps({"error": error}).encode())] * 6)
    with pytest.raises(api.ApiError):
        script.client().instances()


class Server:
    """An HTTP server on a loopback address, for the one thing that a script cannot show: HTTP."""

    def __init__(self, answers):
        seen = self.seen = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, dict(self.headers)))
                status, headers, body = answers[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.http.shutdown()
        self.http.server_close()


def test_over_http(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody there: a request that went that way would fail
    with Server({"/api/v1/instances": (200, {"Content-Type": "application/json"}, b'{"data": [{"id": "1"}]}')}) as server:
        assert api.Client(server.url, KEY).instances() == [{"id": "1"}]
    ((_path, headers),) = server.seen
    assert headers["Authorization"] == "Bearer " + KEY


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_does_not_follow_a_redirect(status):
    answers = {"/api/v1/instances": (status, {"Location": "/elsewhere"}, b""), "/elsewhere": (200, {}, b'{"data": []}')}
    with Server(answers) as server, pytest.raises(api.UnexpectedAnswer, match="not followed"):
        api.Client(server.url, KEY).instances()
    assert [path for path, _headers in server.seen] == ["/api/v1/instances"]


def test_an_answer_that_breaks_off():
    with Server({"/api/v1/instances": (200, {"Content-Length": "100"}, b'{"data')}) as server:
        with pytest.raises(api.Unavailable, match="broke off|no answer"):
            api.Client(server.url, KEY, timeout=1, sleep=lambda seconds: None).instances()


class Drip:
    """Sends an octet now and then, for ever."""

    def __init__(self, start, drop):
        self.start, self.drop = start, drop
        self.over = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        with contextlib.suppress(OSError):
            connection, _address = self.socket.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(self.start)
                while not self.over.wait(0.05):
                    connection.sendall(self.drop)

    def __exit__(self, *exc):
        self.over.set()
        self.socket.close()


@pytest.mark.parametrize(("start", "drop"), [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"{"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    (b"", b"H"),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (b"HTTP/1.1 403 No\r\nContent-Length: 1000000\r\n\r\n", b"<"),
])
def test_a_slow_answer_ends_with_the_time_for_the_call(start, drop):
    began = time.monotonic()
    with Drip(start, drop) as server, pytest.raises(api.Unavailable, match="timed out|not complete"):
        api.Client(server.url, KEY, timeout=0.3).instances()
    assert time.monotonic() - began < 1.5


def test_no_more_is_read_than_there_can_be():
    with Drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 500) as server:
        request = api.Request("GET", server.url, {}, 5, cap=1000)
        assert len(api.http_transport(request).body) == 1001


def test_nobody_there():
    with Server({}) as server:
        url = server.url
    with pytest.raises(api.Unavailable, match=r"no answer: .*[Cc]onnection refused"):
        api.Client(url, KEY, timeout=1, sleep=lambda seconds: None).instances()
