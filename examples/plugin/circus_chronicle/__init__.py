"""Writes what happens into circusd's log, and lets some watchers not start on Friday afternoons."""
