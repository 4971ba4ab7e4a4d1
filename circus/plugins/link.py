"""A plugin's line to circusd: commands leave in the order in which they are given, whoever waits for their replies."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import zmq

from circus.client import CircusClient, Json, connect, decode_reply, make_message, no_reply, raise_if_unreachable
from circus.exc import CallError
from circus.protocol import encode

log = logging.getLogger("circus")

TIMEOUT: Final = 5.0
"""Seconds within which circusd replies, unless it was asked to wait until something is done."""

_PER_TURN: Final = 64
_CROWD: Final = 500
"""Commands without a reply yet, beyond which replies are read before the next one is sent."""


class Link:
    """Sends the commands of one process. ``token`` is in each of them, so that circusd knows who asks.

    It belongs to the thread that made it; :meth:`call` and :meth:`cast` may be called from any thread.
    """

    def __init__(self, endpoint: str, ssh_server: str | None = None) -> None:
        self.endpoint = endpoint
        self.ssh_server = ssh_server
        self.token = os.urandom(16).hex()
        self._thread = threading.get_ident()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, Callable[[Json], None]] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        connect(self._socket, endpoint, ssh_server, None)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read replies on a loop from now on."""
        self._loop = loop
        loop.add_reader(self._socket.FD, self._read)
        self._read()

    def close(self) -> None:
        """Close the connection; what is sent already is given a moment to leave."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.FD)
            self._loop = None
        self._socket.close(linger=200)
        self._context.term()

    def forget(self, reason: str) -> None:
        """Fail whatever waits for a reply: the daemon that was asked is gone."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer({"status": "error", "reason": reason, "errno": 5, "tb": None})

    def cast(self, command: str, props: Json) -> None:
        """Send a command; an error is logged."""
        if threading.get_ident() != self._thread:
            self._on_loop(partial(self.cast, command, props))
            return
        try:
            self._send(command, props, partial(_log_failure, command, props.get("name")))
        except CallError as error:
            log.error("%s: %s", command, error)

    def call(self, command: str, props: Json) -> Json:
        """Send a command and wait for its reply, which may be an error. Raise ``CallError`` if there is none."""
        if threading.get_ident() != self._thread:
            return self._call_elsewhere(command, props)
        replies: list[Json] = []
        self._send(command, props, replies.append)
        asked = time.monotonic()
        while not replies:
            left = asked + TIMEOUT - time.monotonic()
            if self._socket.poll(max(0, int(left * 1000))):
                self._read()
            elif left <= 0:
                self._require_patience(command, props)
                asked = time.monotonic()
        self._again()
        return replies[0]

    async def acall(self, command: str, props: Json) -> Json:
        """As :meth:`call`, to be awaited."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self.attach(loop)
        future: asyncio.Future[Json] = loop.create_future()
        id = self._send(command, props, partial(_settle, future))
        try:
            while True:
                done, _ = await asyncio.wait([future], timeout=TIMEOUT)
                if done:
                    return future.result()
                await loop.run_in_executor(None, self._require_patience, command, props)
        finally:
            self._waiting.pop(id, None)

    def _require_patience(self, command: str, props: Json) -> None:
        """Raise ``CallError`` if it makes no sense to wait longer."""
        if self.ssh_server is None:
            raise_if_unreachable(self.endpoint)
        if not props.get("waiting"):
            raise no_reply(self.endpoint, make_message(command, **props), TIMEOUT, self.ssh_server)

    def _send(self, command: str, props: Json, answer: Callable[[Json], None]) -> str:
        if len(self._waiting) >= _CROWD:
            self._read()
        id = os.urandom(16).hex()
        request = {"id": id, "command": command, "properties": props, "sync": self.token}
        try:
            payload = encode(request)
            if not self._socket.poll(int(TIMEOUT * 1000), zmq.POLLOUT):
                raise CallError(f"circusd at {self.endpoint} does not take any more commands", "busy")
            self._socket.send(payload, zmq.NOBLOCK)
        except (zmq.ZMQError, TypeError, ValueError) as error:
            raise CallError(f"the request cannot be sent: {error}") from None
        self._waiting[id] = answer
        self._again()
        return id

    def _again(self) -> None:
        # libzmq's descriptor signals edges: what came while something else used the socket would not be seen.
        if self._loop is not None:
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        if self._socket.closed:
            return
        for _ in range(_PER_TURN):
            try:
                reply = decode_reply(self._socket.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            except CallError as error:
                log.error("%s", error)
                continue
            answer = self._waiting.pop(str(reply.get("id")), None)
            if answer is not None:
                answer(reply)
        self._again()

    def _on_loop(self, act: Callable[[], None]) -> None:
        if self._loop is None:
            raise CallError("the plugin does not run yet: a command from another thread has to wait until then")
        self._loop.call_soon_threadsafe(act)

    def _call_elsewhere(self, command: str, props: Json) -> Json:
        timeout = 1e6 if props.get("waiting") else TIMEOUT
        with CircusClient(
            endpoint=self.endpoint, ssh_server=self.ssh_server, timeout=timeout, patience=TIMEOUT
        ) as client:
            return client.call({**make_message(command, **props), "sync": self.token})


def _settle(future: asyncio.Future[Json], reply: Json) -> None:
    if not future.done():
        future.set_result(reply)


def _log_failure(command: str, name: Any, reply: Json) -> None:
    if reply.get("status") == "error":
        about = f" {name}" if isinstance(name, str) else ""
        log.error("the command %s%s failed: %s", command, about, reply.get("reason"))
