# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP server that speaks the Lambda Cloud API 1.10.0, as far as instances, images, SSH keys and file systems go.

Beside the API, under `/lab` and with the same key, it takes orders from tests:

- `PUT /lab/faults`: `{"faults": [...]}`, see `faults.Fault`; replaces the faults that are due.
- `GET /lab/requests`: what was asked of the API so far, see `journal.Journal`.
- `PUT /lab/pages`: `{"size": 2}`; GET /instances then answers in pages of that many, also where nobody asks for pages, as
  later copies of the OpenAPI document 1.10.0 have it. `{"size": null}`: in one piece again.
- `PUT /lab/repositories`: `{"lambda": "newer"}`, see `repository.STATES`; puts package repositories into another state.

Under `/repositories`, without a key, are the package repositories themselves, see `repository.Repositories`.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from flask import Flask, Response, g, request, send_from_directory
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from . import bodies, catalogue, errors, server
from .account import Account
from .auth import is_authorized
from .backend import Addresses, Backend
from .faults import Fault, Faults, read_faults
from .journal import Entry, Journal
from .limits import Limiter
from .pages import Pages
from .paper import PaperBackend
from .repository import STATES, Repositories, RepositoryError
from .store import GOING, Instance, Store

PREFIX = "/api/v1"

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Of a request. The largest that the API takes is user data of 1 MB, of which JSON may make six."""

_log = logging.getLogger(__name__)


def serve(
    *,
    port: int,
    api_key: str,
    limits: bool,
    backend: Backend | None = None,
    state_dir: Path | None = None,
    instances_file: Path | None = None,
    heads: int = 0,
    compute: int = 0,
    on_listening: Callable[[str], None] | None = None,
    retry_after: bool = False,
) -> None:
    """Serves on 127.0.0.1 until SIGTERM or SIGINT.

    port: 0 takes a free one. limits: the API's rate limits; retry_after: whether their answers say how long to wait.
    backend: None for machines of paper. state_dir: where the account is kept; None keeps it in memory.
    instances_file: a JSON array that GET /instances answers with as it is. heads, compute: nodes of the cluster that
    an account without instances begins with (see `Account.reserve`). on_listening: called once with the base URL, such
    as `http://127.0.0.1:40000`, when connections are accepted; without it one line with the URL is printed.

    Raises OSError where the port or the directory cannot be had, StoreInUse where another server has the account.
    """
    store = Store(state_dir)
    try:
        machines = backend if backend is not None else PaperBackend()
        account = Account(store, machines)
        account.recover()
        if not store.all(Instance):
            account.reserve(heads, compute)
        if isinstance(machines, PaperBackend):
            # It forgets with the process what the account remembers. All that is there at the start is up.
            machines.adopt(_nodes(store))
        app = create_app(
            store, machines, api_key=api_key, limits=limits, retry_after=retry_after, instances_file=instances_file
        )
        server.run(app, port, on_listening or _announce)
    finally:
        store.close()


def create_app(
    store: Store,
    backend: Backend,
    *,
    api_key: str,
    limits: bool = True,
    retry_after: bool = False,
    instances_file: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
) -> Flask:
    """The application. The store is to be recovered (`Account.recover`).

    clock: what the limits go by, in seconds. wall_clock: what the account goes by, in seconds since 1970.
    """
    app = Flask("onecc_lab", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    # The redirects that this is about would be HTML.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    faults = Faults()
    journal = Journal(api_key)
    # The order is that of a real service: what stands in front of it fails first, then come key and limits.
    app.before_request(_started)
    app.before_request(lambda: _faulty(faults))
    app.before_request(lambda: _check_key(api_key))
    if limits:
        limiter = Limiter(clock)
        app.before_request(lambda: _check_limits(limiter, retry_after))
    app.after_request(lambda response: _noted(journal, response))
    _add_error_handlers(app)
    account = Account(store, backend, clock=wall_clock)
    _add_catalogue(app)
    pages = Pages()
    _add_instances(app, account, pages, instances_file)
    _add_operations(app, account)
    _add_ssh_keys(app, account)
    _add_file_systems(app, account)
    repositories = Repositories()
    _add_lab(app, faults, journal, pages, repositories)
    _add_repositories(app, repositories)
    return app


def _nodes(store: Store) -> list[tuple[str, Addresses]]:
    """The nodes that a backend has."""
    return [
        (instance.id, Addresses(instance.public_ip, instance.private_ip))
        for instance in store.all(Instance)
        if instance.phase != GOING and instance.private_ip is not None
    ]


def _announce(url: str) -> None:
    print(f"onecc-lab listens on {url}", flush=True)


def _add_catalogue(app: Flask) -> None:
    offers = catalogue.load()

    @app.get(f"{PREFIX}/instance-types")
    def list_instance_types() -> Response:
        return _data(offers.offers_json())

    @app.get(f"{PREFIX}/images")
    def list_images() -> Response:
        return _data([offers.image_json(image) for image in offers.images])

    @app.get(f"{PREFIX}/regions")
    def list_regions() -> Response:
        return _data([offers.region_json(name) for name in offers.regions])


def _add_instances(app: Flask, account: Account, pages: Pages, instances_file: Path | None) -> None:
    @app.get(f"{PREFIX}/instances")
    def list_instances() -> Response:
        window = pages.window(request.args.get("page_size"), request.args.get("page_token"))
        if instances_file is None:
            rows = account.instances(request.args.get("cluster_id"))
        else:
            text, rows = _read_instances(instances_file)
            if window is None:
                return _json(f'{{"data": {text}}}')
        return _data(rows) if window is None else _json(json.dumps(window.envelope(rows)))

    @app.get(f"{PREFIX}/instances/<id>")
    def get_instance(id: str) -> Response:
        return _data(account.instance(id) if instances_file is None else _instance_in_file(instances_file, id))

    @app.post(f"{PREFIX}/instances/<id>")
    def rename_instance(id: str) -> Response:
        return _data(account.rename(id, bodies.read_instance_name(_body())))


def _add_operations(app: Flask, account: Account) -> None:
    @app.post(f"{PREFIX}/instance-operations/launch")
    def launch() -> Response:
        return _data(account.launch(bodies.read_launch(_body())))

    @app.post(f"{PREFIX}/instance-operations/restart")
    def restart() -> Response:
        return _data(account.restart(bodies.read_instance_ids(_body())))

    @app.post(f"{PREFIX}/instance-operations/terminate")
    def terminate() -> Response:
        return _data(account.terminate(bodies.read_instance_ids(_body())))


def _add_ssh_keys(app: Flask, account: Account) -> None:
    @app.get(f"{PREFIX}/ssh-keys")
    def list_ssh_keys() -> Response:
        return _data(account.ssh_keys())

    @app.post(f"{PREFIX}/ssh-keys")
    def add_ssh_key() -> Response:
        return _data(account.add_ssh_key(*bodies.read_ssh_key(_body())))

    @app.delete(f"{PREFIX}/ssh-keys/<id>")
    def delete_ssh_key(id: str) -> Response:
        return _data(account.delete_ssh_key(id))


def _add_file_systems(app: Flask, account: Account) -> None:
    # The API does spell these two ways.
    @app.get(f"{PREFIX}/file-systems")
    def list_file_systems() -> Response:
        return _data(account.file_systems())

    @app.post(f"{PREFIX}/filesystems")
    def add_file_system() -> Response:
        return _data(account.add_file_system(*bodies.read_file_system(_body())))

    @app.delete(f"{PREFIX}/filesystems/<id>")
    def delete_file_system(id: str) -> Response:
        return _data(account.delete_file_system(id))


def _add_lab(app: Flask, faults: Faults, journal: Journal, pages: Pages, repositories: Repositories) -> None:
    @app.put("/lab/pages")
    def order_pages() -> Response:
        pages.order(_body().get("size"))
        return _data({"size": pages.size})

    @app.put("/lab/faults")
    def order_faults() -> Response:
        faults.replace(read_faults(_body()))
        return _data({"due": faults.due()})

    @app.get("/lab/requests")
    def list_requests() -> Response:
        return _data(journal.as_json())

    @app.put("/lab/repositories")
    def order_states() -> Response:
        states = _body()
        for name, state in states.items():
            if name not in repositories.states():
                raise errors.invalid_parameters(f"{name}: must be one of {', '.join(repositories.states())}.")
            if state not in list(STATES):
                raise errors.invalid_parameters(f"{name}: must be one of {', '.join(STATES)}.")
        repositories.order(states)
        return _data(repositories.states())


def _add_repositories(app: Flask, repositories: Repositories) -> None:
    @app.get("/repositories/<address>/<path:file>")
    def get_file(address: str, file: str) -> Response:
        try:
            folder = repositories.folder(address)
        except RepositoryError as error:
            _log.error("%s", error)
            raise errors.internal_error(str(error)) from None
        if folder is None:
            raise errors.not_found()
        response = send_from_directory(folder, file, mimetype="application/octet-stream", conditional=False, etag=False)
        # The same file, not one that is no newer: a repository also goes back to an older state.
        if request.headers.get("If-Modified-Since") == response.headers["Last-Modified"]:
            response.close()
            return Response(status=304)
        return response


def _add_error_handlers(app: Flask) -> None:
    @app.errorhandler(errors.ApiError)
    def refused(error: errors.ApiError) -> Response:
        return _error(error)

    @app.errorhandler(HTTPException)
    def unrouted(error: HTTPException) -> Response:
        return _error(_from_http(error))

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        _log.error("a request failed", exc_info=error)
        return _error(errors.internal_error())


def _from_http(error: HTTPException) -> errors.ApiError:
    """The API's error for one of Flask's own."""
    if isinstance(error, NotFound):
        return errors.not_found()
    if isinstance(error, MethodNotAllowed):
        return errors.method_not_allowed(", ".join(sorted(error.valid_methods or ())))
    if isinstance(error, RequestEntityTooLarge):
        return errors.body_too_large(MAX_BODY_BYTES)
    return errors.ApiError(error.code or 400, "global/invalid-parameters", error.name)


def _started() -> None:
    g.started = time.time()


def _faulty(faults: Faults) -> Response | None:
    fault = faults.take(request.path) if not _is_order() else None
    if fault is None:
        return None
    time.sleep(fault.delay_seconds)
    if fault.cut:
        request.environ[server.CUT] = True
    return _fault_response(fault)


def _fault_response(fault: Fault) -> Response | None:
    if fault.cut:
        return _error(errors.provider_unavailable())  # sent where the server cannot cut connections
    if fault.status is None:
        return None
    response = Response(fault.body, status=fault.status, content_type=fault.content_type)
    response.headers.update(fault.headers)
    return response


def _check_key(api_key: str) -> None:
    if (_is_api() or _is_order()) and not is_authorized(request.headers.get("Authorization"), api_key):
        raise errors.invalid_api_key()


def _check_limits(limiter: Limiter, retry_after: bool) -> Response | None:
    if not _is_api():
        return None
    launch = request.method == "POST" and request.path == f"{PREFIX}/instance-operations/launch"
    wait = limiter.wait_seconds(launch=launch)
    if not wait:
        return None
    response = _error(errors.too_many_requests())
    if retry_after:
        response.headers["Retry-After"] = str(math.ceil(wait))
    return response


def _noted(journal: Journal, response: Response) -> Response:
    if _is_api():
        route = f"{request.method} {request.url_rule}" if request.url_rule else "unknown"
        entry = Entry(
            at=g.started,
            method=request.method,
            path=request.path,
            query=unquote_plus(request.query_string.decode("utf-8", "replace")),
            status=response.status_code,
            seconds=time.time() - g.started,
            request_bytes=request.content_length or 0,
            response_bytes=response.content_length or 0,
        )
        journal.add(route, entry)
    return response


def _is_api() -> bool:
    return not request.path.startswith(("/lab/", "/repositories/"))


def _is_order() -> bool:
    return request.path.startswith("/lab/")


def _read_instances(path: Path) -> tuple[str, list[Any]]:
    """The text of the file of instances and what it means; read anew each time, so that a test may change it."""
    try:
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise errors.internal_error(f"The file of instances cannot be read: {error}") from None
    if not isinstance(rows, list):
        raise errors.internal_error("The file of instances is no JSON array.")
    return text, rows


def _instance_in_file(path: Path, id: str) -> Any:
    rows = _read_instances(path)[1]
    found = [row for row in rows if isinstance(row, dict) and row.get("id") == id]
    if not found:
        raise errors.does_not_exist(f"The instance {id}")
    return found[0]


def _body() -> bodies.Fields:
    return bodies.read_object(request.get_data())


def _data(value: Any) -> Response:
    return _json(json.dumps({"data": value}))


def _error(error: errors.ApiError) -> Response:
    response = _json(json.dumps(error.envelope()))
    response.status_code = error.status
    return response


def _json(text: str) -> Response:
    return Response(text, content_type="application/json")
