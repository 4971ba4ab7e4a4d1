"""A ROUTER that answers as it is told, for tests of clients: it can be silent or wrong, as no daemon is on demand."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

Answer = Callable[[dict[str, Any]], Any]


class Responder:
    """Answers each request with what ``answer`` returns: an object gets the request's ``id``, bytes go as they are.

    None is silence.
    """

    def __init__(self, answer: Answer) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="circus-")
        self.path = Path(self._folder.name) / "endpoint"
        self.endpoint = f"ipc://{self.path}"
        self.requests: list[dict[str, Any]] = []
        self._answer = answer
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind(self.endpoint)
        self._askers: dict[Any, bytes] = {}
        self._late: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while not self._over.is_set():
            if not self._socket.poll(20):
                continue
            identity, payload = self._socket.recv_multipart()
            request = json.loads(payload)
            self.requests.append(request)
            self._askers[request.get("id")] = identity
            reply = self._answer(request)
            if isinstance(reply, dict):
                reply = json.dumps({"id": request.get("id"), **reply}).encode()
            if reply is not None:
                self._socket.send_multipart([identity, reply])
            for sent, late in self._late:
                self._socket.send_multipart([self._askers[sent["id"]], json.dumps({"id": sent["id"], **late}).encode()])
            self._late.clear()
        self._socket.close(linger=100)

    def late(self, request: dict[str, Any], reply: dict[str, Any]) -> None:
        """Answer an earlier request too, after the one that is being answered."""
        self._late.append((request, reply))

    def __enter__(self) -> Responder:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._context.term()
        self._folder.cleanup()
