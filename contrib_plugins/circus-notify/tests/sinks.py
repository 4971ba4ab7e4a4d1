"""Who is told in tests: a real HTTP server and a real mail server, in threads of the test's process."""

from __future__ import annotations

import email
import json
import socket
import ssl
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from circus.testing import wait_until


class Webhook:
    """Keeps the messages that it takes. ``status`` is what it answers; while ``open`` is not set it does not."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        self.open = threading.Event()
        self.open.set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                sink.asked += 1
                sink.open.wait()
                if sink.status == 200:
                    sink.messages.append(message)
                self.send_response(sink.status)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/secret"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def notices(self) -> dict[tuple[str, str], int]:
        """How often it was told of each event of each watcher."""
        told: dict[tuple[str, str], int] = {}
        for notice in [notice for message in self.messages for notice in message["notices"]]:
            key = notice["watcher"], notice["event"]
            told[key] = told.get(key, 0) + notice["count"]
        return told

    def wait_for(self, watcher: str, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until it was told of an event so often; return the last message of that."""
        wait_until(lambda: self.notices().get((watcher, event), 0) >= count, f"{watcher} {event}: {self.notices()}")
        return next(message for message in reversed(self.messages) if has(message, watcher, event))

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()


def has(message: dict[str, Any], watcher: str, event: str) -> bool:
    """Whether a message tells of an event."""
    return any((notice["watcher"], notice["event"]) == (watcher, event) for notice in message["notices"])


class MailServer:
    """Takes mails, with STARTTLS if it has a certificate. Who gives a name says ``circus`` and ``secret``."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.mails: list[Message] = []
        self.recipients: list[str] = []
        self.users: list[str] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        options = {"tls_context": tls, "authenticator": self._authenticate, "auth_require_tls": False}
        connected: set[SMTP] = set()
        self._connected = connected

        class Connection(SMTP):
            def connection_made(self, transport: Any) -> None:
                connected.add(self)
                super().connection_made(transport)

            def connection_lost(self, error: Exception | None) -> None:
                super().connection_lost(error)
                connected.discard(self)

        class Server(Controller):
            def factory(self) -> SMTP:
                return Connection(self.handler, **self.SMTP_kwargs)

        self._controller = Server(self, hostname="127.0.0.1", port=self.port, **options)
        self._controller.start()

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        self.users.append(data.login.decode())
        return AuthResult(success=(data.login, data.password) == (b"circus", b"secret"))

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append(email.message_from_bytes(envelope.content or b""))
        self.recipients += envelope.rcpt_tos
        return "250 OK"

    def close(self) -> None:
        wait_until(lambda: not self._connected, "all clients have gone")
        self._controller.stop()
