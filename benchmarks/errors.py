"""What may keep a cell of the table empty."""


class Missing(Exception):
    """A supervisor is not there: it is left out, and the reason is printed."""


class Failed(Exception):
    """A measurement did not come to its end: its cell says so, and the reason is printed below the table."""
