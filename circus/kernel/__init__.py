"""The minimal kernel: it supervises processes, answers commands and publishes events. Everything else is a plugin."""
