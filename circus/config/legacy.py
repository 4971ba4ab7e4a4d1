"""The configuration as a plain object, for programs that were written against ``circus.config.get_config``."""

from __future__ import annotations

import os
from typing import Any

from circus import util
from circus.config.faults import Report
from circus.config.loader import load, read_source
from circus.config.schema import PluginSettings, SocketSettings, WatcherSettings

_CIRCUS = (
    "check_delay debug debug_gc endpoint_owner fqdn_prefix httpd httpd_close_outputs httpd_host httpd_port "
    "loggerconfig loglevel logoutput multicast_endpoint pidfile proc_name statsd statsd_close_outputs stream_backend "
    "umask"
).split()
_WATCHER = (
    "name cmd args numprocesses executable working_dir uid gid on_demand shell send_hup stop_children use_sockets "
    "singleton copy_env copy_path stop_signal max_retry priority respawn autostart"
).split()
_FAMILIES = ("rlimit_", "hooks.", "stdout_stream.", "stderr_stream.")


class Attributes(dict[str, Any]):
    """A dictionary whose keys are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def get_config(path: str) -> Attributes:
    """Read the configuration ``path`` into plain types.

    ``watchers``, ``plugins`` and ``sockets`` are lists sorted by name. Raise ``ConfigError`` with every fault.
    """
    config = load(path)
    texts = read_source(path, Report()).texts
    circus = config.circus
    result = Attributes({option: getattr(circus, option) for option in _CIRCUS})
    result["endpoint"] = circus.endpoint or util.default_endpoint()
    result["pubsub_endpoint"] = circus.pubsub_endpoint or util.default_pubsub_endpoint()
    result["stats_endpoint"] = circus.stats_endpoint or util.default_stats_endpoint()
    result["warmup_delay"] = int(circus.warmup_delay)
    for option in ("loglevel", "logoutput"):
        result[option] = texts.get("circus", {}).get(option)
    sockets = {section[7:].lower(): values for section, values in texts.items() if section.startswith("socket:")}
    result["watchers"] = [_watcher(watcher, texts[f"watcher:{watcher.name}"]) for watcher in config.watchers]
    result["plugins"] = [_plugin(plugin, texts[plugin.name]) for plugin in config.plugins]
    result["sockets"] = [_socket(socket, sockets[socket.name]) for socket in config.sockets]
    return result


def _watcher(watcher: WatcherSettings, texts: dict[str, str]) -> Attributes:
    result = Attributes({option: text for option, text in texts.items() if not option.startswith(_FAMILIES)})
    result.update({option: getattr(watcher, option) for option in _WATCHER})
    result.update({option: getattr(watcher, option) for option in texts if option.startswith("close_child_")})
    result["warmup_delay"] = int(watcher.warmup_delay)
    result["uid"], result["gid"] = texts.get("uid"), texts.get("gid")
    result["graceful_timeout"] = watcher.graceful_timeout if "graceful_timeout" in texts else 30
    # Programs expect -1 for infinity, and the name as it stands in the file.
    spelled = {option[7:]: watcher.rlimits[option[7:].lower()] for option in texts if option.startswith("rlimit_")}
    result["rlimits"] = {name: -1 if limit is None else limit for name, limit in spelled.items()}
    result["hooks"] = {name: list(hook) for name, hook in watcher.hooks.items()}
    for stream in ("stdout_stream", "stderr_stream"):
        result[stream] = {option[14:]: text for option, text in texts.items() if option.startswith(f"{stream}.")}
    result["env"] = {**os.environ, **watcher.env} if watcher.copy_env else dict(watcher.env)
    return result


def _plugin(plugin: PluginSettings, texts: dict[str, str]) -> Attributes:
    result = Attributes(texts, name=plugin.name)
    if "priority" in texts:
        result["priority"] = plugin.watcher.priority
    return result


def _socket(socket: SocketSettings, texts: dict[str, str]) -> Attributes:
    return Attributes(texts, name=socket.name, so_reuseport=socket.so_reuseport, replace=socket.replace)
