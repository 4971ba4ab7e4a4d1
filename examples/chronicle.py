"""A plugin that writes what happens into circusd's log, and lets some watchers not start on Friday afternoons."""

import datetime
import logging

from circus.plugins import CircusPlugin, hookimpl

log = logging.getLogger(__name__)


class Chronicle(CircusPlugin):
    """Write each event into the log. The option ``ignore`` names actions that are left out."""

    name = "chronicle"

    def __init__(self, *args, **config):
        super().__init__(*args, **config)
        self.ignored = {action.strip() for action in config.get("ignore", "").split(",")}

    @hookimpl
    def on_event(self, event):
        if event.action not in self.ignored:
            log.info("%d: %s %s", event.seq, event.watcher, event.action)

    @hookimpl
    def before_start(self, watcher):
        """Deploy on another day: False keeps the watcher from starting, None has no opinion."""
        now = datetime.datetime.now().astimezone()
        if watcher.options().get("deploys_on_friday") == "no" and now.weekday() == 4 and now.hour >= 16:
            return False
        return None
