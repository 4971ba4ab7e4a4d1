"""Plugins that write down what they hear, and storms of events for them to hear of."""

from __future__ import annotations

import json
from pathlib import Path

import zmq

from tests.support import DEADLINE, Circusd, wait_until

RECORDER = '''
import os, signal, time
from circus.plugins import CircusPlugin, hookimpl

class Recorder(CircusPlugin):
    """Writes a line for each event: its number, its topic and the process that writes."""
    name = "recorder"
    pause = 0.0

    def handle_init(self):
        self.out = os.open(self.config["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *words):
        os.write(self.out, (" ".join(map(str, words)) + "\\n").encode())

    @hookimpl
    def on_event(self, event):
        self.write(event.seq, event.topic, os.getpid())
        if self.pause:
            time.sleep(self.pause)

    @hookimpl
    def on_resync(self, snapshot):
        self.write("resync", snapshot["seq"], os.getpid())
'''


IMPATIENT = """
from circus.plugins import link, runtime

link.TIMEOUT = runtime.SILENCE = 0.5
"""
"""What takes less than a second then to notice that circusd does not answer."""


class Record:
    """What such a plugin has written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lines(self) -> list[list[str]]:
        """Every line that is complete, in words."""
        text = self.path.read_text() if self.path.exists() else ""
        return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]

    @property
    def events(self) -> list[int]:
        """The numbers of the events, in the order in which they were heard of."""
        return [int(line[0]) for line in self.lines if line[0] != "resync"]

    def until(self, seq: int) -> list[int]:
        """The numbers of the events up to that one: more may have happened meanwhile."""
        return [number for number in self.events if number <= seq]

    @property
    def resyncs(self) -> list[int]:
        """The numbers that the snapshots stood for."""
        return [int(line[1]) for line in self.lines if line[0] == "resync"]

    @property
    def last(self) -> int:
        """The number that was reached."""
        lines = self.lines
        return int(lines[-1][1 if lines[-1][0] == "resync" else 0]) if lines else 0

    def wait_for(self, seq: int, deadline: float = DEADLINE) -> None:
        """Wait until the event with that number has been heard of, or a snapshot that covers it."""
        wait_until(lambda: self.last >= seq, f"event {seq} reaches {self.path.name}", deadline)


def recorder_section(circusd: Circusd, name: str = "recorder", more: str = "", *, impatient: bool = False) -> str:
    """Write the plugin beside the configuration, if that is to be done, and return its section."""
    path = circusd.folder / "recorder.py"
    if not path.exists():
        path.write_text(RECORDER + IMPATIENT * impatient)
    return f"[plugin:{name}]\nuse = ./recorder.py:Recorder\nfile = {circusd.folder}/{name}.txt\n{more}\n"


def record(circusd: Circusd, name: str = "recorder") -> Record:
    """What the plugin of that name has written."""
    return Record(circusd.folder / f"{name}.txt")


def storm(circusd: Circusd, count: int, watcher: str = "w") -> int:
    """Let so many events of a watcher happen, as fast as circusd takes them; return the number of the last."""
    dealer = circusd.context.socket(zmq.DEALER)
    dealer.connect(circusd.endpoint)
    request = json.dumps({"command": "notify", "properties": {"name": watcher, "action": "gust"}}).encode()
    seq = 0
    try:
        sent = received = 0
        while received < count:
            while sent < count and sent - received < 500:
                dealer.send(request)
                sent += 1
            assert dealer.poll(int(DEADLINE * 1000)), "circusd answers"
            reply = dealer.recv_json()
            assert reply["status"] == "ok", reply
            seq = reply["seq"]
            received += 1
    finally:
        dealer.close(linger=0)
    return seq
