"""Following a daemon's events so that none is lost: what a subscription loses is asked for.

A subscription loses events: those from before it was live, those that a slow reader leaves in the queue for too long,
and those of a connection that breaks. All are numbered, and circusd keeps the latest. :class:`Stream` decides, without
any input or output of its own, what to deliver and what to ask for; :class:`CircusConsumer` is the loop around it for
programs without one.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import zmq

from circus.client import CircusClient, connect
from circus.events import Event
from circus.exc import CallError
from circus.protocol import encode
from circus.util import default_pubsub_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]

TICK = "circus.tick"
"""Topic of the messages that tell the last event's number each second; they are no events and have no number."""

SYNC = "@sync."
"""What a topic begins with on which circusd answers to a subscription: once the answer is there, it is live."""

HELD_LIMIT = 10_000
"""Most events that wait in memory for the answer to a question; what is beyond them is asked for once more."""


class Snapshot:
    """How everything was when event number ``seq`` was the last; ``data`` is the reply of the command ``snapshot``."""

    __slots__ = ("boot", "data", "seq")

    def __init__(self, data: Json) -> None:
        self.data = data
        self.seq: int = data["seq"]
        self.boot: str = data["boot"]


class Lost:
    """Events from number ``first`` to number ``last`` are no longer kept anywhere."""

    __slots__ = ("first", "last")

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last


Delivery = Event | Snapshot | Lost


class Stream:
    """Puts events in order, each once.

    Give it each message (:meth:`take`) and say when the subscription is live (:meth:`live`). As long as there is a
    :attr:`question`, ask it and give it the reply (:meth:`answer`). All that it returns is to be delivered in order.

    ``seq`` is the number of the last event that is known, ``boot`` the life of the daemon that it belongs to. Without a
    number it begins with the next event, or, with ``snapshots``, with a :class:`Snapshot`; with a number the snapshot
    stands behind the events that were missed. Another one follows when events are lost for good or the daemon was
    started anew. Without ``snapshots`` there is a :class:`Lost` for those
    that are lost, and from a daemon that was started anew it takes all that is there.
    """

    def __init__(self, seq: int | None = None, boot: str | None = None, *, snapshots: bool = False) -> None:
        self.seq = seq
        self.boot = boot
        self._snapshots = snapshots
        self._live = False
        self._behind = True
        self._former: set[str] = set()
        self._greeting: Snapshot | None = None
        self._greeted = not snapshots
        self._held: list[tuple[str, Json]] = []

    @property
    def question(self) -> tuple[str, Json] | None:
        """The command and its properties that circusd is to be asked, if there is anything to ask."""
        if not self._live or not self._behind:
            return None
        if self.seq is not None and (self._greeted or self._greeting is not None):
            return "events", {"since": self.seq}
        return ("snapshot", {}) if self._snapshots else ("events", {"limit": 0})

    def live(self) -> None:
        """Take note that what is published from now on arrives: at the start, and again after each new connection."""
        self._live = True
        self._behind = True

    def take(self, topic: str, data: Json) -> list[Delivery]:
        """Take one published message."""
        number, boot = data.get("seq"), data.get("boot")
        if not isinstance(number, int) or not isinstance(boot, str) or boot in self._former:
            return []
        if topic == TICK:
            self._behind = self._behind or boot != self.boot or self.seq is None or number > self.seq
            return []
        if self._behind or self.seq is None or boot != self.boot:
            self._behind = True
            if len(self._held) < HELD_LIMIT:
                self._held.append((topic, data))
            return []
        if number > self.seq + 1:
            self._behind = True
            self._held.append((topic, data))
        elif number == self.seq + 1:
            self.seq = number
            return [Event(topic, data)]
        return []

    def answer(self, reply: Json) -> list[Delivery]:
        """Take the reply to the question. Raise ``CallError`` if it is an error: such a daemon keeps no events."""
        if reply.get("status") == "error":
            raise CallError(f"circusd does not tell its events: {reply.get('reason')}")
        if "watchers" in reply:
            return self._take_snapshot(Snapshot(reply))
        if self.boot not in (None, reply["boot"]):
            self._greeting = None
            self._enter(reply["boot"], None if self._snapshots else 0)
            return []
        if reply.get("truncated") and self._snapshots:
            self.seq = self._greeting = None
            return []
        return self._replay(reply)

    def _take_snapshot(self, snapshot: Snapshot) -> list[Delivery]:
        if self.seq is not None and self.boot == snapshot.boot:
            self._greeting = snapshot  # after the events that it knows and this does not
            return []
        self._greeted = True
        self._enter(snapshot.boot, snapshot.seq)
        return [snapshot, *self._release()]

    def _greet(self) -> list[Delivery]:
        """Return the snapshot that is held back, if its time has come."""
        greeting = self._greeting
        if greeting is None or self.seq is None or self.seq < greeting.seq:
            return []
        self._greeting, self._greeted = None, True
        return [greeting]

    def _replay(self, reply: Json) -> list[Delivery]:
        self.boot = reply["boot"]
        deliveries: list[Delivery] = []
        self.seq = reply["last_seq"] if self.seq is None else self.seq
        for entry in reply["events"]:
            deliveries += self._greet()
            number = entry["data"]["seq"]
            if number > self.seq + 1:
                deliveries.append(Lost(self.seq + 1, number - 1))
            if number > self.seq:
                deliveries.append(Event(entry["topic"], entry["data"]))
                self.seq = number
        deliveries += self._greet()
        return deliveries if self.seq < reply["last_seq"] else [*deliveries, *self._release()]

    def _enter(self, boot: str, seq: int | None) -> None:
        if self.boot not in (None, boot):
            self._former.add(str(self.boot))
        self.boot, self.seq = boot, seq

    def _release(self) -> list[Delivery]:
        """Go on with what came while a question was under way."""
        ours = [(topic, data) for topic, data in self._held if data["boot"] == self.boot]
        if len(ours) < len(self._held):
            # Others are of a life that is over, or of one that began after this answer: another one tells.
            self._held = ours
            return []
        self._behind, self._held = False, []
        return [delivery for topic, data in ours for delivery in self.take(topic, data)]


class CircusConsumer:
    """Iterates over the messages of a daemon whose topics begin with one of ``topics``, as pairs of bytes.

    ``endpoint`` is that of the events. Where the commands' endpoint is known too, no event of a watcher is lost: it is
    ``command_endpoint``, or the default one when ``endpoint`` is left out. ``timeout`` is how many seconds it waits at
    a time; it ends only when it is told to, by :meth:`stop` from another thread or by leaving the loop.
    """

    def __init__(
        self,
        topics: Iterable[str | bytes],
        context: zmq.Context[Any] | None = None,
        endpoint: str | None = None,
        ssh_server: str | None = None,
        timeout: float = 1.0,
        *,
        command_endpoint: str | None = None,
    ) -> None:
        self.topics = tuple(topic.encode() if isinstance(topic, str) else topic for topic in topics)
        self.endpoint = endpoint or default_pubsub_endpoint()
        self.timeout = timeout
        self._stopped = False
        self._own_context = context is None
        self.context = context or zmq.Context()
        known = command_endpoint is not None or (endpoint is None and ssh_server is None)
        self._client = CircusClient(endpoint=command_endpoint, context=self.context) if known else None
        self._sync = f"{SYNC}{os.urandom(16).hex()}".encode()
        self._socket = self.context.socket(zmq.SUB)
        for topic in self.topics:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        if known:
            for topic in (b"watcher.", TICK.encode(), self._sync):
                self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        connect(self._socket, self.endpoint, ssh_server, None)

    def __enter__(self) -> CircusConsumer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self.iter_messages()

    def iter_messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each message as topic and JSON."""
        stream = Stream()
        try:
            while not self._stopped:
                for delivery in self._ask(stream):
                    yield from self._chosen(delivery)
                if not self._socket.poll(int(self.timeout * 1000)):
                    continue
                topic, message = self._socket.recv_multipart()[:2]
                if topic == self._sync:
                    stream.live()
                elif self._client is None or not topic.startswith((b"watcher.", TICK.encode())):
                    yield topic, message
                else:
                    for delivery in stream.take(topic.decode(), json.loads(message)):
                        yield from self._chosen(delivery)
        finally:
            self.close()

    def stop(self) -> None:
        """End the iteration within ``timeout`` seconds. Another thread may call this."""
        self._stopped = True

    def close(self) -> None:
        """Let go of the connections. It may be called twice."""
        self._socket.close(linger=0)
        if self._client is not None:
            self._client.stop()
        if self._own_context:
            self.context.term()

    def _ask(self, stream: Stream) -> list[Delivery]:
        question = stream.question
        if question is None or self._client is None:
            return []
        try:
            return stream.answer(self._client.send_message(question[0], **question[1]))
        except CallError:
            time.sleep(self.timeout)  # it is gone, or busy: asked again
            return []

    def _chosen(self, delivery: Delivery) -> Iterator[tuple[bytes, bytes]]:
        if isinstance(delivery, Event) and delivery.topic.encode().startswith(self.topics):
            yield delivery.topic.encode(), encode(delivery.data)
