# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""A client of the Lambda Cloud API: one seam to HTTP, one tree of errors, and no key in any message."""

from __future__ import annotations

import http.client
import io
import ipaddress
import json
import random
import re
import socket
import ssl
import time
import typing as t
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from ansible.module_utils.urls import make_context

DEFAULT_URL = "https://cloud.lambda.ai"
KEYS_PAGE = "https://cloud.lambda.ai/api-keys"
API_PREFIX = "/api/v1"
USER_AGENT = "onecc.cluster (Ansible collection)"

# "1 request per second" for all but the launch (OpenAPI document 1.10.0, description); a little more, since clocks differ.
REQUEST_INTERVAL = 1.05
# SkyPilot, which drives this API daily, makes six attempts.
ATTEMPTS = 6
DEFAULT_TIMEOUT = 60.0
REQUEST_TIMEOUT = 30.0
BACKOFF_FIRST = 1.0
BACKOFF_CAP = 30.0
RETRY_AFTER_CAP = 60.0
# 5,000 instances are about 8 MB; anything far beyond that is not this API. For all pages of a list together.
ANSWER_CAP = 32 * 1024 * 1024
ROWS_CAP = 50_000
# A token goes into a URL; servers take URLs of 8 kB (RFC 9110, 4.1).
TOKEN_CAP = 4096
# A list that changes while its pages are read is read again, so often at most.
READINGS = 3


class ApiError(Exception):
    """The API did not give what it was asked for. The message is for people, the attributes for programs."""

    def __init__(
        self, problem: str, method: str = "", url: str = "", status: int | None = None, code: str | None = None
    ) -> None:
        answered = "" if status is None else f" answered {status}"
        super().__init__(f"{method} {url}{answered}: {problem}" if method else problem)
        self.problem = problem
        self.method = method
        self.url = url
        self.status = status
        self.code = code


class ConfigError(ApiError):
    """The URL or the key cannot be used as given; nothing was sent."""


class AuthError(ApiError):
    """The API itself does not accept the key, or not for this (401, 403)."""


class NotTrusted(ApiError):
    """The server's certificate cannot be verified, so the key was not sent."""


class Unavailable(ApiError):
    """No usable answer for now: connection errors, 5xx. Old data is better than none."""


class RateLimited(Unavailable):
    """Still 429 after all attempts."""


class UnexpectedAnswer(Unavailable):
    """Something answered that is not the API, or not the API as documented."""


class TransportError(Exception):
    """Raised by a transport that got no answer. `permanent`: the next attempt would end the same way."""

    def __init__(self, problem: str, permanent: bool = False) -> None:
        super().__init__(problem)
        self.permanent = permanent


class Request(t.NamedTuple):
    method: str
    url: str
    headers: t.Mapping[str, str]
    timeout: float
    """Seconds for all of it, from the connection to the last octet of the answer."""
    cap: int = ANSWER_CAP
    """Octets of the answer's body. It is read no further than one beyond them."""


class Response(t.NamedTuple):
    status: int
    headers: t.Mapping[str, str]
    """Names in lower case."""
    body: bytes


Transport = t.Callable[[Request], Response]


class _Reader(io.RawIOBase):
    """What arrives at a socket until a point in time. A limit for each read alone would let a slow server go on for ever."""

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._sock = sock
        self._end = end
        self._kept = sock.makefile("rb")  # a socket stays open for as long as one of its files does

    def close(self) -> None:
        self._kept.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        self._sock.settimeout(_left(self._end))
        return self._sock.recv_into(buffer)


def _left(end: float) -> float:
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


def _opener(end: float, url: str) -> urllib.request.OpenerDirector:
    """Opens one URL, and is through with it at `end`. Redirects are not followed and ~/.netrc is not read."""

    class Answer(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: t.Any, **kwargs: t.Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp.close()
            self.fp = io.BufferedReader(_Reader(sock, end))

    class Connection(http.client.HTTPConnection):
        response_class = Answer

    class SecureConnection(http.client.HTTPSConnection):
        response_class = Answer

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> t.Any:
            return self.do_open(Connection, req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> t.Any:
            return self.do_open(SecureConnection, req, context=context)

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: t.Any, **kwargs: t.Any) -> None:
            return None

    context = make_context()
    # A plain http URL is a loopback address (see `base_url`), which no proxy could reach anyway.
    proxies = [] if url.startswith("https:") else [urllib.request.ProxyHandler({})]
    return urllib.request.build_opener(Http(), Https(context=context), NoRedirect(), *proxies)


def http_transport(request: Request) -> Response:
    """The one place where HTTP happens. The key goes to this URL and to no other."""
    end = time.monotonic() + request.timeout
    asked = urllib.request.Request(request.url, method=request.method, headers=dict(request.headers))
    try:
        answer = _opener(end, request.url).open(asked, timeout=request.timeout)
    except urllib.error.HTTPError as error:
        answer = error
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise TransportError(f"the certificate cannot be verified ({reason})", permanent=True) from None
        raise TransportError(str(reason) or type(reason).__name__) from None
    headers = {name.lower(): value for name, value in answer.headers.items()}
    try:
        body = answer.read(request.cap + 1)
    except TimeoutError:
        raise TransportError(f"the answer was not complete after {request.timeout:.0f} seconds") from None
    except (http.client.HTTPException, OSError, ValueError, EOFError) as error:
        raise TransportError(f"the answer broke off ({error or type(error).__name__})") from None
    finally:
        answer.close()
    # http.client does not tell where a size is given to read().
    length = headers.get("content-length", "")
    if length.isdecimal() and len(body) < min(int(length), request.cap):
        raise TransportError(f"the answer broke off after {len(body)} of {length} bytes")
    return Response(answer.status, headers, body)


class Client:
    """Calls the API, one request after the other, at the pace it asks for."""

    def __init__(
        self,
        url: str,
        key: str,
        timeout: float = DEFAULT_TIMEOUT,
        transport: Transport = http_transport,
        clock: t.Callable[[], float] = time.monotonic,
        now: t.Callable[[], float] = time.time,
        sleep: t.Callable[[float], None] = time.sleep,
        jitter: t.Callable[[], float] = random.random,
    ) -> None:
        """`timeout`: seconds for one call with all its pages and attempts. The last four are for tests."""
        self.url = base_url(url)
        self._headers = {"Authorization": f"Bearer {checked_key(key)}", "Accept": "application/json", "User-Agent": USER_AGENT}
        self._key = key.strip()
        self._timeout = timeout
        self._transport = transport
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._jitter = jitter
        self._last_request: float | None = None

    def instances(self, cluster_id: str | None = None) -> list[t.Any]:
        """All instances of the account, or of one 1-Click Cluster. The rows are as they came."""
        return self._get_list("/instances", {"cluster_id": cluster_id} if cluster_id else {})

    def file_systems(self) -> list[t.Any]:
        """All persistent file systems of the account. The rows are as they came."""
        return self._get_list("/file-systems")

    def is_local(self) -> bool:
        """Whether the API is on this machine, as a stand-in's is."""
        return is_loopback(urlsplit(self.url).hostname or "")

    def _get_list(self, path: str, query: t.Mapping[str, str] | None = None) -> list[t.Any]:
        """All rows of all pages; a part is an error. Rows on two pages mean that the list moved on while it was read."""
        end = self._clock() + self._timeout
        for _reading in range(READINGS):
            pages = list(self._pages(self.url + path, dict(query or {}), end))
            twice = _on_two(pages)
            if not twice:
                return [row for page in pages for row in page]
        raise Unavailable(
            f"the list changed while its {len(pages)} pages were read, {READINGS} times over: "
            f"{self._printable(min(twice))} is on two of them", "GET", self.url + path,
        )

    def _pages(self, address: str, query: dict[str, str], end: float) -> t.Iterator[list[t.Any]]:
        """The rows of each page. Later copies of the OpenAPI document 1.10.0 have `page_token`, null on the last page."""
        tokens: set[str] = set()
        rows, room = 0, ANSWER_CAP
        while True:
            url = address + (f"?{urlencode(query, quote_via=quote)}" if query else "")
            envelope, size = self._get(url, end, room)
            page, token = envelope["data"], envelope.get("page_token")
            if not isinstance(page, list):
                raise UnexpectedAnswer(f"`data` is {_kind(page)}, not a list", "GET", url, 200)
            rows, room = rows + len(page), room - size
            if rows > ROWS_CAP:
                raise UnexpectedAnswer(f"lists more than {ROWS_CAP} things: is LAMBDA_API_URL right?", "GET", url, 200)
            yield page
            if token is None or token == "":
                return
            if not isinstance(token, str) or len(token) > TOKEN_CAP:
                raise UnexpectedAnswer("`page_token` is no text that could lead to the next page", "GET", url, 200)
            if token in tokens:
                raise UnexpectedAnswer("`page_token` leads back to a page that was read already", "GET", url, 200)
            tokens.add(token)
            query = {**query, "page_token": token}

    def _get(self, url: str, end: float, room: int) -> tuple[dict[str, t.Any], int]:
        """The envelope and its size. GET repeats safely: 429, 5xx and connection errors are tried again until the
        attempts or the time run out."""
        attempt = 0
        while True:
            attempt += 1
            response: Response | None = None
            try:
                response = self._send("GET", url, end, room)
                return self._envelope(url, response, room), len(response.body)
            except TransportError as error:
                problem = self._printable(str(error))
                if error.permanent:
                    raise NotTrusted(problem, "GET", url) from None
                failure = Unavailable(f"no answer: {problem}", "GET", url)
            except UnexpectedAnswer:
                raise
            except Unavailable as error:
                failure = error
            pause = self._pause(attempt, response)
            if attempt == ATTEMPTS or self._clock() + pause >= end:
                tried = "" if attempt == 1 else f" (tried {attempt} times)"
                raise type(failure)(failure.problem + tried, failure.method, failure.url, failure.status, failure.code)
            self._sleep(pause)

    def _send(self, method: str, url: str, end: float, room: int) -> Response:
        if self._last_request is not None:
            wait = self._last_request + REQUEST_INTERVAL - self._clock()
            if wait > 0:
                self._sleep(wait)
        self._last_request = self._clock()
        left = end - self._last_request
        if left <= 0:
            raise Unavailable(
                f"the time of {self._timeout:.0f} seconds for the whole call is over, and this is not read yet; "
                "where the API only has much to say, `api_timeout` (LAMBDA_API_TIMEOUT) allows more", method, url,
            )
        return self._transport(Request(method, url, self._headers, min(REQUEST_TIMEOUT, left), room))

    def _pause(self, attempt: int, response: Response | None) -> float:
        """Seconds before the next attempt: as the server asks, else doubling; spread, so that clients do not march in step."""
        asked = None if response is None else retry_after(response.headers.get("retry-after"), self._now())
        if asked is not None:
            return min(asked, RETRY_AFTER_CAP) + self._jitter()
        return min(BACKOFF_FIRST * 2 ** (attempt - 1), BACKOFF_CAP) * (0.5 + self._jitter())

    def _envelope(self, url: str, response: Response, room: int) -> dict[str, t.Any]:
        status = response.status
        if 300 <= status < 400:
            target = self._printable(response.headers.get("location", "nowhere"))
            raise UnexpectedAnswer(
                f"redirects to {target}, which is not followed, for the key is for this URL alone: is LAMBDA_API_URL right?",
                "GET", url, status,
            )
        if len(response.body) > room:
            raise UnexpectedAnswer("the answer has no end: is LAMBDA_API_URL right?", "GET", url, status)
        envelope = _decoded(response.body)
        if status == 200:
            if not isinstance(envelope, dict):
                raise UnexpectedAnswer(f"{_looks_like(response.body)} in place of JSON: is LAMBDA_API_URL right?", "GET", url, 200)
            if "data" not in envelope:
                raise UnexpectedAnswer("JSON without `data`: is LAMBDA_API_URL right?", "GET", url, 200)
            return envelope
        raise self._error(url, status, envelope, response.body)

    def _error(self, url: str, status: int, envelope: t.Any, body: bytes) -> ApiError:
        """The body first: only what has the API's form is the API's word. A proxy in front of it answers 403 as well."""
        error = envelope.get("error") if isinstance(envelope, dict) else None
        code = self._printable(error.get("code")) or None if isinstance(error, dict) else None
        if isinstance(error, dict) and code:
            said = ": ".join(filter(None, (code, self._printable(error.get("message")))))
            problem = " ".join(filter(None, (said, self._printable(error.get("suggestion")))))
            number = self._printable(error.get("request_id"))
            problem += f" (request {number})" if number else ""
        else:
            problem = (
                f"{_looks_like(body)} in place of the API's JSON: is LAMBDA_API_URL right, and is a proxy or firewall on the way?"
            )
        if code and status in (401, 403):
            hint = f"is the API key right, and of the right workspace? Keys: {KEYS_PAGE}"
            return AuthError(f"{problem} ({hint})", "GET", url, status, code)
        if status == 429:
            return RateLimited(problem if code else "too many requests", "GET", url, status, code)
        if status >= 500:
            return Unavailable(problem, "GET", url, status, code)
        if not code:
            return UnexpectedAnswer(problem, "GET", url, status)
        return ApiError(problem, "GET", url, status, code)

    def _printable(self, text: t.Any) -> str:
        """One line, without the key even if the server echoes it, and nothing that a terminal would act on."""
        if not isinstance(text, str):
            return ""
        line = "".join(char if char.isprintable() else " " for char in text.replace(self._key, "<the key>"))
        return re.sub(r"\s+", " ", line).strip()[:300]


def base_url(url: str) -> str:
    """The URL of the API, from what people write: with or without /api/v1, with any number of slashes at the end."""
    text = url.strip()
    try:
        parts = urlsplit(text)
        host = parts.hostname
        port = parts.port  # a broken port shows only when asked for
    except ValueError as error:
        raise ConfigError(f"the API URL is not a URL ({error})") from None
    # The URL may hold a password by mistake, so it is shown only once that is ruled out.
    if "@" in parts.netloc:
        raise ConfigError("the API URL holds a user name or password; it must not: the API key is the only credential")
    shown = re.sub(r"[^\x21-\x7e]", "?", text)
    if parts.scheme not in ("https", "http") or not host:
        raise ConfigError(f"the API URL must begin with https:// and name a host, for example {DEFAULT_URL}; it is {shown!r}")
    if parts.query or parts.fragment or shown != text or not re.fullmatch(r"[0-9A-Za-z.:_-]+", host):
        raise ConfigError(f"the API URL must be scheme, host and path, for example {DEFAULT_URL}; it is {shown!r}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"the API URL {shown!r} is plain http, which would send the API key in the clear; use https:// "
            "(plain http is accepted for loopback addresses only)"
        )
    path = parts.path.rstrip("/")
    if path.endswith(API_PREFIX):
        path = path[: -len(API_PREFIX)].rstrip("/")
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc = f"{netloc}:{port}"
    return urlunsplit((parts.scheme, netloc, path + API_PREFIX, "", ""))


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_key(key: str) -> str:
    """The key without surrounding white space. http.client would show a key that it cannot send, so it never gets one."""
    stripped = key.strip()
    if not stripped:
        raise ConfigError(f"the API key is empty. Keys: {KEYS_PAGE}")
    if not re.fullmatch(r"[\x21-\x7e]+", stripped):
        raise ConfigError(f"the API key holds a space, a line break or another character that no key has. Keys: {KEYS_PAGE}")
    return stripped


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header: a number or an HTTP date; None where it says neither."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return float(text)
    if not text:
        return None
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _decoded(body: bytes) -> t.Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _looks_like(body: bytes) -> str:
    start = body[:512].lstrip().lower()
    if not start:
        return "an empty answer"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    found = _decoded(body)
    if found is None:
        return "something unreadable"
    return "other JSON" if isinstance(found, dict) else "JSON that is not an object"


def _on_two(pages: t.Sequence[t.Sequence[t.Any]]) -> set[str]:
    """Identifiers that are on more than one page."""
    seen: set[str] = set()
    twice: set[str] = set()
    for page in pages:
        here = {row["id"] for row in page if isinstance(row, dict) and isinstance(row.get("id"), str)}
        twice |= seen & here
        seen |= here
    return twice


def _kind(value: t.Any) -> str:
    names = {dict: "an object", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
