"""What circusd is told of this distribution."""

from __future__ import annotations

from circus.hooks import OptionSpec, PluginSpec, hookimpl

NOTIFIER = PluginSpec(
    "notify",
    "circus_notify.notifier:Notifier",
    options=(
        OptionSpec("url", "text", doc="webhook to which each message is sent as JSON"),
        OptionSpec("smtp_host", "text", doc="mail server through which each message is sent"),
        OptionSpec("smtp_port", "integer(min=1, max=65535)", doc="its port; 25, or 465 with smtp_security = tls"),
        OptionSpec("smtp_security", "keyword(auto, tls, none)", "auto", doc="how the mail server is talked to"),
        OptionSpec("smtp_user", "text", doc="user at the mail server"),
        OptionSpec("smtp_password", "text", doc="password at the mail server"),
        OptionSpec("sender", "text", doc="address that mails come from; circus@ this host by default"),
        OptionSpec("recipients", "text", doc="addresses that mails go to, with commas between"),
        OptionSpec("events", "text", "crash, flapping, gave_up", doc="what is told of, with commas between"),
        OptionSpec("interval", "number(min=0)", 60.0, doc="seconds between two messages about one watcher"),
        OptionSpec("delay", "number(min=0)", 1.0, doc="seconds that a message waits for what else happens"),
        OptionSpec("timeout", "number(min=0.1)", 10.0, doc="seconds that sending a message may take"),
    ),
    doc="Tell people by e-mail or a webhook when a program crashes, flaps or is given up.",
)


@hookimpl
def circus_register_plugins() -> list[PluginSpec]:
    """The only plugin."""
    return [NOTIFIER]
