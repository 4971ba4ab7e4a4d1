from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from circus.config.schema import SocketSettings
from circus.listeners import Listeners


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    made = Listeners()
    yield made
    made.close()


@pytest.fixture
def opened(listeners: Listeners) -> Callable[..., Listeners]:
    def opened(*sockets: SocketSettings) -> Listeners:
        listeners.open(sockets)
        return listeners

    return opened
