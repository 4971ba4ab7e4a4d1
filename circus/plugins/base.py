"""Plugins: the class that they are derived from, and those that come with Circus."""
