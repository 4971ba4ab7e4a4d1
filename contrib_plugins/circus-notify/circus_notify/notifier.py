"""The plugin, which runs in a process of its own."""

from __future__ import annotations

from typing import Any

from circus.events import Event
from circus.plugins import CircusPlugin, hookimpl
from circus.util import describe_exit
from circus_notify.digest import Digest, Notice
from circus_notify.outbox import Outbox
from circus_notify.receivers import Mail, Webhook
from circus_notify.registration import NOTIFIER

CRASH = "crash"
"""What a ``reap`` is called that nobody asked for, unless the program ended with exit code 0."""

_NOT_TOLD = {"seq", "boot", "mono", "time"}


class Notifier(CircusPlugin):
    """Tell people by e-mail or a webhook when a program crashes, flaps or is given up.

    ``events`` says of what: ``crash`` is a process that ended by itself, with an error or by a signal; any other one is
    the action of an event, such as ``flapping`` (which the plugin flapping publishes), ``gave_up``, ``spawn_failed``,
    ``hook_failure`` or ``unkillable``.

    A message waits ``delay`` seconds (1) for what else happens, and about one watcher there is one every ``interval``
    seconds (60) at most: what happens meanwhile is counted and told together. So a hundred watchers that crash at once
    are one message, and one that crashes a thousand times an hour is sixty. A receiver that is slow or does not answer
    within ``timeout`` seconds (10) keeps nobody waiting: messages grow together until it takes them.

    ``url`` is a webhook, which gets JSON by POST: ``text`` for people, as many chats show it, and for programs ``host``
    and ``notices``, each with ``watcher``, ``event``, ``detail``, ``count``, ``first`` and ``last`` (epoch seconds).

    ``smtp_host`` is a mail server, ``recipients`` are addresses with commas between. ``smtp_security`` is ``auto``
    (STARTTLS if the server offers it, and always for a password), ``tls`` (from the first byte) or ``none``.

    .. code-block:: ini

       [plugin:notify]
       url = https://chat.example.com/hooks/4711
       smtp_host = mail.example.com
       smtp_user = circus
       smtp_password = $(circus.env.MAIL_PASSWORD)
       recipients = ops@example.com, night@example.com
    """

    name = "notify"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.options = NOTIFIER.read(self.config)
        if not self.options["url"] and not self.options["smtp_host"]:
            raise ValueError("there is nobody to tell: set url to a webhook, or smtp_host and recipients")
        if self.options["smtp_host"] and not self.options["recipients"]:
            raise ValueError("recipients is missing: set it to the addresses that mails go to")
        self._events = {word.strip().lower() for word in self.options["events"].split(",")}
        self._receivers: list[Webhook | Mail] = []
        self._outboxes: list[Outbox] = []

    def handle_init(self) -> None:
        """Get ready to send."""
        options = self.options
        if options["url"]:
            self._receivers.append(Webhook(options["url"], options["timeout"]))
        if options["smtp_host"]:
            self._receivers.append(Mail(options))
        for receiver in self._receivers:
            digest = Digest(options["interval"], options["delay"])
            self._outboxes.append(Outbox(receiver.name, receiver.send, digest, options["timeout"]))

    async def handle_stop(self) -> None:
        """Send what waits, if that is quickly done."""
        for outbox in self._outboxes:
            await outbox.close()
        for receiver in self._receivers:
            receiver.close()

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Have it told, if it is one of those."""
        kind = CRASH if is_crash(event) and CRASH in self._events else event.action
        if kind in self._events:
            for outbox in self._outboxes:
                outbox.add(Notice(event.watcher, kind, detail(event), event.time, event.time))


def is_crash(event: Event) -> bool:
    """Return whether a process ended by itself and not well."""
    return event.action == "reap" and event.data.get("reason") == "exited" and event.data["exit_code"] != 0


def detail(event: Event) -> str:
    """Say in a few words what happened."""
    if event.action == "reap":
        return f"process {event.data['process_pid']}: {describe_exit(event.data['exit_code'])}"
    if isinstance(event.data.get("reason"), str):
        return " ".join(event.data["reason"].split())[:500]
    told = (f"{key} {value}" for key, value in event.data.items() if key not in _NOT_TOLD and value is not None)
    return " ".join(", ".join(told).split())[:500]
