"""What ``stderr_stream.class = stdout`` stands for."""

from __future__ import annotations

from circus.stream.base import Stream


class JoinedStream(Stream):
    """Only for ``stderr_stream``, beside a ``stdout_stream``: both are one pipe, so that all is in order in one place.

    Nothing tells then which of the two a line was written to; it counts as one of stdout.
    """
