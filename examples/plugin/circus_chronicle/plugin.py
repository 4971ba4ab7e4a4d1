"""The plugin, which runs in a process of its own."""

import datetime
import logging

from circus.plugins import CircusPlugin, hookimpl
from circus_chronicle.registration import CHRONICLE

log = logging.getLogger(__name__)


class Chronicle(CircusPlugin):
    """Write each event into the log, and keep watchers with ``deploys_on_friday = no`` from starting on a Friday."""

    name = "chronicle"

    def __init__(self, *args, **config):
        super().__init__(*args, **config)
        options = CHRONICLE.read(self.config)
        self.ignored = {action.strip() for action in options["ignore"].split(",")}
        self.closing_hour = options["closing_hour"]
        self.refused = []

    @hookimpl
    def on_event(self, event):
        if event.action not in self.ignored:
            log.info("%d: %s %s", event.seq, event.watcher, event.action)

    @hookimpl
    def before_start(self, watcher):
        now = self.now()
        if watcher.options().get("deploys_on_friday") == "no" and now.weekday() == 4 and now.hour >= self.closing_hour:
            self.refused.append(watcher.name)
            return False
        return None

    def now(self):
        return datetime.datetime.now().astimezone()
