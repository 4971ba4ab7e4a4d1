"""The client for programs with an event loop (asyncio, or tornado, whose loop is the same)."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import zmq
import zmq.asyncio

from circus.client import Json, connect, decode_reply, make_message, no_reply, raise_if_unreachable
from circus.exc import CallError
from circus.util import default_endpoint


class AsyncCircusClient:
    """As :class:`~circus.client.CircusClient`, to be awaited. Several calls may be under way at once."""

    def __init__(
        self,
        context: zmq.asyncio.Context | None = None,
        endpoint: str | None = None,
        timeout: float = 5.0,
        ssh_server: str | None = None,
        ssh_keyfile: str | None = None,
    ) -> None:
        self.endpoint = endpoint or default_endpoint()
        self.timeout = float(timeout)
        self.ssh_server = ssh_server
        self.ssh_keyfile = ssh_keyfile
        self._own_context = context is None
        self.context = zmq.asyncio.Context() if context is None else zmq.asyncio.Context(context)
        self._socket: zmq.asyncio.Socket | None = None
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AsyncCircusClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the connection; calls under way fail. It may be called twice."""
        if self._reader is not None:
            self._reader.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(CallError("the client was stopped"))
        if self._socket is not None:
            self._socket.close(linger=0)
        if self._own_context:
            self.context.term()

    async def send_message(self, command: str, **props: Any) -> Json:
        """Send a command with its properties and return the reply; see :meth:`call`."""
        return await self.call(make_message(command, **props))

    async def call(self, cmd: Json | str) -> Json:
        """Send a request and return the reply, an error reply too. A fresh ``id`` is put into the request.

        Raise :class:`~circus.exc.CallError` if there is no daemon, no permission, or no reply in time; its ``kind``
        says which.
        """
        if isinstance(cmd, str):
            raise DeprecationWarning("call() takes an object with the keys command and properties, not a text")
        id = cmd["id"] = os.urandom(16).hex()
        loop = asyncio.get_running_loop()
        socket = self._connected()
        if cmd.get("msg_type") == "cast":
            await socket.send(json.dumps(cmd).encode())
            return {"status": "ok", "id": id}
        future = self._waiting[id] = loop.create_future()
        try:
            await socket.send(json.dumps(cmd).encode())
            if self._reader is None or self._reader.done():
                self._reader = loop.create_task(self._read(socket))
            return await asyncio.wait_for(future, self.timeout)
        except TimeoutError:
            raise await loop.run_in_executor(None, self._failure, cmd) from None
        finally:
            del self._waiting[id]

    def _connected(self) -> zmq.asyncio.Socket:
        if self._socket is None:
            socket = self.context.socket(zmq.DEALER)
            try:
                connect(socket, self.endpoint, self.ssh_server, self.ssh_keyfile)
            except CallError:
                socket.close(linger=0)  # the next call tries again
                raise
            self._socket = socket
        return self._socket

    async def _read(self, socket: zmq.asyncio.Socket) -> None:
        while self._waiting:
            try:
                reply = decode_reply(await socket.recv_multipart())
            except CallError as error:
                for future in self._waiting.values():
                    if not future.done():
                        future.set_exception(error)
                return
            found = self._waiting.get(str(reply.get("id")))
            if reply.get("id") is None and len(self._waiting) == 1:
                # What could not be read has no id that could be repeated.
                (found,) = self._waiting.values()
            if found is not None and not found.done():
                found.set_result(reply)

    def _failure(self, cmd: Json) -> CallError:
        try:
            if self.ssh_server is None:
                raise_if_unreachable(self.endpoint)
        except CallError as error:
            return error
        return no_reply(self.endpoint, cmd, self.timeout, self.ssh_server)
