"""What circusd is told of this distribution. It imports this module, and not the plugin."""

from circus.hooks import OptionSpec, PluginSpec, hookimpl

CHRONICLE = PluginSpec(
    "chronicle",
    "circus_chronicle.plugin:Chronicle",
    options=(
        OptionSpec("ignore", default="", doc="actions that are left out, with commas between"),
        OptionSpec("closing_hour", "integer(min=0, max=24)", 16, doc="hour of a Friday from which nothing starts"),
    ),
    doc="Write each event into the log.",
)


@hookimpl
def circus_register_plugins():
    return [CHRONICLE]
