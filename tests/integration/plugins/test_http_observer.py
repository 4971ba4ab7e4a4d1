"""The plugin http_observer, with a real circusd, a real web server that misbehaves on demand, and a statsd server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.statsd_server import StatsdServer
from tests.support import DEADLINE, Circusd, wait_until

PREFIX = "circus.http_observer.watcher.http_stats"


class WebServer:
    """Answers with the code ``mode``, or does what that says."""

    def __init__(self) -> None:
        self.mode: int | str = 200
        self.requests: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.let_go = threading.Event()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/health"

    def listen(self) -> None:
        """Take connections; the second time at the same port."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def refuse(self) -> None:
        """Take no more connections."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def close(self) -> None:
        self.let_go.set()
        self.refuse()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.requests.append(request.path)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self._misbehave(request)
        except OSError:
            pass
        finally:
            with self._lock:
                self.at_once -= 1

    def _misbehave(self, request: BaseHTTPRequestHandler) -> None:
        if self.mode == "hang":
            self._wait_until_left(request)
        elif self.mode == "drip":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self.let_go.wait(0.05):
                request.wfile.write(b"x")
        elif self.mode == "garbage":
            request.wfile.write(b"\x00\xff no http\r\n\r\n")
        elif self.mode == "cut":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        elif self.mode == "redirect" and request.path != "/elsewhere":
            request.send_response(302)
            request.send_header("Location", "/elsewhere")
            request.end_headers()
        elif self.mode in ("circle", "slow circle"):
            # Each step is quick enough, all of them are not.
            self.let_go.wait(0.3 if self.mode == "slow circle" else 0)
            request.send_response(302)
            request.send_header("Location", request.path)
            request.end_headers()
        else:
            body = b"x" * 100_000
            request.send_response(self.mode if isinstance(self.mode, int) else 200)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

    def _wait_until_left(self, request: BaseHTTPRequestHandler) -> None:
        request.connection.settimeout(DEADLINE)
        request.connection.recv(1)


@pytest.fixture
def web() -> Iterator[WebServer]:
    web = WebServer()
    yield web
    web.close()


@pytest.fixture
def statsd() -> Iterator[StatsdServer]:
    with StatsdServer() as server:
        yield server


def start(circusd: Circusd, statsd: StatsdServer, url: str, **options: object) -> None:
    """Start a daemon with the plugin, two watchers, and these options."""
    lines = "\n".join(f"{name} = {value}" for name, value in {"loop_rate": 0.2, **options}.items())
    circusd.start(
        "[watcher:web]\ncmd = sleep 600\n[watcher:other]\ncmd = sleep 600\n"
        f"[plugin:http_observer]\ncheck_url = {url}\nport = {statsd.port}\n{lines}\n"
    )


def test_a_good_answer_is_timed(circusd: Circusd, web: WebServer, statsd: StatsdServer) -> None:
    start(circusd, statsd, web.url, restart_on_error="web")
    assert 0 < statsd.wait_for(f"{PREFIX}.request_time", 3).value < DEADLINE * 1000
    assert {(metric.name, metric.kind) for metric in statsd.metrics} == {(f"{PREFIX}.request_time", "ms")}
    assert set(web.requests) == {"/health"}
    assert circusd.events.actions("web") == ["spawn", "start"]
    circusd.assert_no_defect()


def test_another_name_can_be_given_to_what_is_sent(circusd: Circusd, web: WebServer, statsd: StatsdServer) -> None:
    start(circusd, statsd, web.url, application_name="shop")
    statsd.wait_for("circus.shop.watcher.http_stats.request_time")


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        *((404, 404), (500, 500), (304, 304), ("circle", 302)),
        *((mode, 599) for mode in ("hang", "drip", "garbage", "cut", "slow circle")),
    ],
)
def test_an_error_is_counted_with_its_code(
    circusd: Circusd, web: WebServer, statsd: StatsdServer, mode: int | str, code: int
) -> None:
    web.mode = mode
    start(circusd, statsd, web.url, timeout=0.5)
    statsd.wait_for(f"{PREFIX}.error", 2)
    statsd.wait_for(f"{PREFIX}.error.{code}", 2)
    assert {metric.name for metric in statsd.metrics} == {f"{PREFIX}.error", f"{PREFIX}.error.{code}"}
    assert {metric.kind for metric in statsd.metrics} == {"c"}
    assert circusd.output().count(f"{web.url} fails: ") == 1
    web.let_go.set()
    web.mode = 200
    statsd.wait_for(f"{PREFIX}.request_time")
    wait_until(lambda: f"{web.url} answers again" in circusd.output(), "the end of it is logged")
    assert circusd.events.actions("web") == ["spawn", "start"]
    circusd.assert_no_defect()


def test_a_refused_connection_is_an_error_until_it_is_not(
    circusd: Circusd, web: WebServer, statsd: StatsdServer
) -> None:
    web.refuse()
    start(circusd, statsd, web.url)
    statsd.wait_for(f"{PREFIX}.error.599")
    assert "Connection refused" in circusd.output()
    assert not statsd.of(f"{PREFIX}.request_time")
    web.listen()
    statsd.wait_for(f"{PREFIX}.request_time")


def test_a_redirection_is_followed(circusd: Circusd, web: WebServer, statsd: StatsdServer) -> None:
    web.mode = "redirect"
    start(circusd, statsd, web.url)
    statsd.wait_for(f"{PREFIX}.request_time")
    assert web.requests[:2] == ["/health", "/elsewhere"]
    assert not statsd.of(f"{PREFIX}.error")


def test_checks_that_hang_end_and_never_pile_up(circusd: Circusd, web: WebServer, statsd: StatsdServer) -> None:
    web.mode = "hang"
    start(circusd, statsd, web.url, timeout=0.3, loop_rate=0.1)
    statsd.wait_for(f"{PREFIX}.error.599", 4)
    # The server hears of the end of a connection a moment after the next one has begun.
    assert web.most_at_once <= 2
    assert "no answer within 0.3 s" in circusd.output()


def test_a_host_that_takes_no_connections_ends_the_check(circusd: Circusd, statsd: StatsdServer) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        crowd = []
        for _ in range(8):
            # With its queue full, the system answers no further connection.
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            crowd.append(one)
        start(circusd, statsd, f"http://127.0.0.1:{full.getsockname()[1]}/", timeout=0.3)
        statsd.wait_for(f"{PREFIX}.error.599", 2)
        for one in crowd:
            one.close()


def test_an_error_restarts_the_watcher(circusd: Circusd, web: WebServer, statsd: StatsdServer) -> None:
    web.mode = 503
    start(circusd, statsd, web.url, restart_on_error="web")
    circusd.wait_for("start", watcher="web", count=2)
    web.mode = 200
    statsd.wait_for(f"{PREFIX}.request_time", 2)
    restarts = statsd.counted(f"{PREFIX}.restart_on_error")
    assert len(circusd.events.of("start", watcher="web")) == 1 + restarts
    assert restarts <= statsd.counted(f"{PREFIX}.error.503")
    assert "web is restarted" in circusd.output()
    assert circusd.events.actions("other") == ["spawn", "start"]
    circusd.assert_no_defect()


def test_a_restart_under_way_is_not_asked_for_again(circusd: Circusd, web: WebServer, statsd: StatsdServer) -> None:
    web.mode = 503
    slow = circusd.program(
        "slow.py", "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: None)\nwhile 1: time.sleep(1)"
    )
    circusd.start(
        f"[watcher:web]\ncmd = {slow}\ngraceful_timeout = 60\n[plugin:http_observer]\ncheck_url = {web.url}\n"
        f"port = {statsd.port}\nloop_rate = 0.1\nrestart_on_error = web\n"
    )
    (pid,) = circusd.pids("web")
    statsd.wait_for(f"{PREFIX}.error", 4)
    assert statsd.counted(f"{PREFIX}.restart_on_error") == 1
    circusd.ok("set", name="web", options={"graceful_timeout": 1}, waiting=False)
    circusd.kill(pid)
    circusd.wait_for("start", watcher="web", count=2)
    assert len(circusd.events.of("stop", watcher="web")) == 1
    assert "web is not restarted: it is stopping" in circusd.output()
    # The first error after it is passed over, the second is not.
    circusd.wait_for("kill", watcher="web", count=2)
    assert "web was just restarted" in circusd.output()
    circusd.assert_no_defect()


def test_what_was_stopped_stays_stopped(circusd: Circusd, web: WebServer, statsd: StatsdServer) -> None:
    start(circusd, statsd, web.url, restart_on_error="web")
    statsd.wait_for(f"{PREFIX}.request_time")
    circusd.ok("stop", name="web")
    web.mode = 500
    statsd.wait_for(f"{PREFIX}.error", 4)
    assert circusd.ok("status", name="web")["status"] == "stopped"
    assert not statsd.of(f"{PREFIX}.restart_on_error")


def test_a_watcher_that_there_is_not_is_said(circusd: Circusd, web: WebServer, statsd: StatsdServer) -> None:
    web.mode = 500
    start(circusd, statsd, web.url, restart_on_error="wbe")
    statsd.wait_for(f"{PREFIX}.error", 2)
    assert "wbe is not restarted: program wbe not found" in circusd.output()
    assert circusd.events.actions("web") == ["spawn", "start"]


def test_without_a_url_circusd_does_not_start(circusd: Circusd) -> None:
    circusd.write("[watcher:web]\ncmd = sleep 600\n[plugin:http_observer]\n")
    assert circusd.launch().wait(DEADLINE) == 1
    assert "[plugin:http_observer]: the plugin http_observer needs check_url" in circusd.output()


@pytest.mark.parametrize("url", ["localhost:80", "file:///etc/passwd"])
def test_a_wrong_url_is_said(circusd: Circusd, url: str) -> None:
    circusd.start(f"[watcher:web]\ncmd = sleep 600\n[plugin:http_observer]\ncheck_url = {url}\n")
    wait_until(lambda: f"check_url: {url!r} is no URL that can be asked for" in circusd.output(), "the log says so")
    assert circusd.ok("status", name="web")["status"] == "active"
