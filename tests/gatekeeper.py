"""A gatekeeper that does as the test says: it hears of gates, and answers them when it is told to."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from typing import Any

import zmq

from tests.support import DEADLINE, Circusd


class Gatekeeper:
    """Registered from its making on, until :meth:`close`."""

    def __init__(
        self,
        circusd: Circusd,
        hooks: Iterable[str] = (),
        watchers: str = "*",
        plugin: str = "plugin:test",
        functions: bool = False,
    ) -> None:
        self.circusd = circusd
        self.plugin = plugin
        self.sync = uuid.uuid4().hex
        self._subscription = circusd.context.socket(zmq.SUB)
        self._subscription.set_hwm(0)
        self._subscription.subscribe(f"@sync.{self.sync}")
        self._subscription.subscribe("watcher.")
        self._subscription.connect(circusd.pubsub_endpoint)
        end = time.monotonic() + DEADLINE
        while not self._receive(end)[0].startswith("@sync."):
            pass
        reply = self.register(hooks, watchers, functions)
        assert reply["status"] == "ok", reply
        self.gates: list[dict[str, Any]] = reply["gates"]
        """Those that it was told of and that :meth:`next` has not given back yet."""
        self._since = reply["seq"]

    def register(self, hooks: Iterable[str] = (), watchers: str = "*", functions: bool = False) -> dict[str, Any]:
        """Declare at which hooks it is asked."""
        return self.circusd.call(
            "register", plugin=self.plugin, sync=self.sync, hooks=list(hooks), watchers=watchers, functions=functions
        )

    def _receive(self, end: float) -> tuple[str, dict[str, Any]]:
        if not self._subscription.poll(max(0, int((end - time.monotonic()) * 1000))):
            raise AssertionError(f"nothing was heard; the log:\n{self.circusd.output()}")
        topic, data = self._subscription.recv_multipart()
        return topic.decode(), json.loads(data)

    def next(self, hook: str, deadline: float = DEADLINE) -> dict[str, Any]:
        """Return the next gate of that hook at which this one is asked."""
        end = time.monotonic() + deadline
        while True:
            for gate in self.gates:
                if gate["hook"] == hook:
                    self.gates.remove(gate)
                    return gate
            topic, data = self._receive(end)
            if topic.endswith(".gate") and data["seq"] > self._since and self.plugin in data["gatekeepers"]:
                self.gates.append(data)

    def poll(self, timeout: float) -> list[dict[str, Any]]:
        """Return the gates that have come, waiting at most ``timeout`` seconds for one."""
        if self._subscription.poll(int(timeout * 1000)):
            topic, data = self._receive(time.monotonic() + timeout)
            if topic.endswith(".gate") and data["seq"] > self._since and self.plugin in data["gatekeepers"]:
                self.gates.append(data)
        come, self.gates = self.gates, []
        return come

    def answer(self, gate: dict[str, Any], allow: bool = True, **properties: Any) -> dict[str, Any]:
        """Give a verdict."""
        return self.circusd.call("verdict", gate=gate["gate"], sync=self.sync, allow=allow, **properties)

    def expect(self, hook: str, allow: bool = True, **properties: Any) -> dict[str, Any]:
        """Wait for a gate of that hook, answer it, and return it."""
        gate = self.next(hook)
        reply = self.answer(gate, allow, **properties)
        assert reply["status"] == "ok", reply
        return gate

    def call(self, command: str, **properties: Any) -> dict[str, Any]:
        """Send a command as this plugin does, with its token."""
        dealer = self.circusd.context.socket(zmq.DEALER)
        try:
            dealer.connect(self.circusd.endpoint)
            dealer.send_json({"command": command, "properties": properties, "id": "1", "sync": self.sync})
            assert dealer.poll(int(DEADLINE * 1000)), f"no reply to {command}"
            return dealer.recv_json()
        finally:
            dealer.close(linger=0)

    def close(self) -> None:
        """Go, as a plugin that ends."""
        self._subscription.close(linger=0)
