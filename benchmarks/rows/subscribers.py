"""Subscribers to the events, in a process of their own: subscribers.py ENDPOINT COUNT.

Prints "ready" when every one of them has received something and nothing has come for a while; counts from there; when
its standard input is closed and nothing has come for a while, prints the counts as JSON.
"""

import itertools
import json
import select
import sys
import time
from collections import Counter
from typing import Any

import zmq

QUIET = 500  # milliseconds without an event, after which none is expected any more


class Subscriber:
    """One SUB socket with the options that everybody has, high-water mark included."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> None:
        self.socket = context.socket(zmq.SUB)
        self.socket.subscribe(b"")
        self.socket.connect(endpoint)
        self.messages: list[list[bytes]] = []
        self.last_ns = 0

    def drain(self) -> None:
        """Take everything that is there."""
        try:
            while True:
                self.messages.append(self.socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            self.last_ns = time.monotonic_ns()

    def summary(self) -> dict[str, Any]:
        """Events by kind, and the holes in their numbers where they are numbered."""
        kinds = Counter(topic.rpartition(b".")[2].decode() for topic, *_ in self.messages)
        numbers = [event["seq"] for _, text in self.messages if "seq" in (event := json.loads(text))]
        holes = sum(after - before - 1 for before, after in itertools.pairwise(numbers))
        return {"kinds": kinds, "holes": holes, "events": len(self.messages), "last_ns": self.last_ns}


def _quiet(poller: zmq.Poller, by_socket: dict[Any, Subscriber]) -> bool:
    """Take what comes within a while; true when nothing has."""
    ready = poller.poll(QUIET)
    for socket, _ in ready:
        by_socket[socket].drain()
    return not ready


def main() -> None:
    """Run the subscribers until standard input ends."""
    endpoint, count = sys.argv[1], int(sys.argv[2])
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscribers = [Subscriber(context, endpoint) for _ in range(count)]
    by_socket = {subscriber.socket: subscriber for subscriber in subscribers}
    poller = zmq.Poller()
    for socket in by_socket:
        poller.register(socket, zmq.POLLIN)
    while not all(subscriber.messages for subscriber in subscribers):
        _quiet(poller, by_socket)
    sys.stdout.write("heard\n")
    sys.stdout.flush()
    while not _quiet(poller, by_socket):
        pass
    for subscriber in subscribers:
        subscriber.messages.clear()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not _quiet(poller, by_socket) or not select.select([sys.stdin], [], [], 0)[0]:
        pass
    json.dump([subscriber.summary() for subscriber in subscribers], sys.stdout)
    sys.stdout.flush()
    context.destroy(linger=0)


if __name__ == "__main__":
    main()
