"""Endpoints before they are bound: whom they let in, the folder and the lock of local ones, and errors in plain
words.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import socket
import stat
import struct

from circus.endpoints.lockfile import Held, LockFile
from circus.exc import CircusError
from circus.util import runtime_dir

IPC_PATH_LIMIT = 107
"""Longest path of a local socket, in bytes: ``sun_path`` of unix(7) holds one more, for the end."""

_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid
_SIOCGIFADDR = 0x8915
_TRANSPORTS = ("ipc", "tcp", "inproc")


def ipc_path(endpoint: str) -> str | None:
    """Return the path of the socket file of ``endpoint``; None if it has none: other transports, abstract sockets."""
    path = endpoint.removeprefix("ipc://")
    return None if path == endpoint or path.startswith(("@", "*")) or not path else path


class Lock:
    """Says that this daemon serves an endpoint. It holds until ``release``, or until the process ends."""

    def __init__(self, path: str, file: LockFile) -> None:
        self._path = path
        self._file = file

    def release(self) -> None:
        """Remove the socket file, which libzmq leaves behind, and let another daemon have the endpoint.

        Call this after the endpoint has been closed. Calling it again does nothing.
        """
        if self._file.held:
            try:
                if stat.S_ISSOCK(os.lstat(self._path).st_mode):
                    os.unlink(self._path)
            except OSError:
                pass
            self._file.release()


def lock(endpoint: str) -> Lock | None:
    """Claim a local endpoint. None if its transport claims by itself: binding it twice fails.

    libzmq takes a socket file away from whoever listens there, and removes anything else of that name; so this must
    be called before binding. Raise :class:`~circus.exc.CircusError` if another daemon serves the endpoint, or its
    place cannot be used.
    """
    path = ipc_path(endpoint)
    if path is None:
        return None
    if len(os.fsencode(path)) > IPC_PATH_LIMIT:
        raise CircusError(
            f"{endpoint}: the path has {len(os.fsencode(path))} bytes, and a local socket's at most {IPC_PATH_LIMIT}; "
            "name a shorter one"
        )
    file = LockFile(f"{path}.lock", 0o600)
    try:
        file.acquire()
    except Held as held:
        raise CircusError(_taken(endpoint, held.pid)) from None
    except OSError as exc:
        raise CircusError(bind_error_text(endpoint, exc)) from None
    try:
        _check_place(endpoint, path)
    except BaseException:
        file.release()
        raise
    return Lock(os.path.abspath(path), file)


def _taken(endpoint: str, pid: int | None, who: str = "another circusd") -> str:
    if pid == os.getpid():
        return f"this process serves {endpoint} already; name another endpoint"
    server = who if pid is None else f"{who} (pid {pid})"
    return f"{server} serves {endpoint}; stop it or name another endpoint"


def _check_place(endpoint: str, path: str) -> None:
    """Refuse to take the place of a file that is no socket, or of a socket that somebody listens on without a lock."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as exc:
        raise CircusError(bind_error_text(endpoint, exc)) from None
    if not stat.S_ISSOCK(mode):
        raise CircusError(f"{endpoint}: {path} exists and is no socket; remove it or name another endpoint")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except BlockingIOError:  # it listens, and its queue is full
            raise CircusError(_taken(endpoint, None, "another process")) from None
        except OSError:
            return
        pid = _PEER.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[0]
        raise CircusError(_taken(endpoint, pid, "another process"))


def prepare_dir(endpoint: str) -> None:
    """Make the folder of a default endpoint, so that nobody but this user enters it; leave other folders alone.

    Raise :class:`~circus.exc.CircusError` if that folder cannot be made, or belongs to somebody else.
    """
    path = ipc_path(endpoint)
    folder = runtime_dir()
    if path is None or os.path.dirname(path) != folder:
        return
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        found = os.lstat(folder)
        if found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) != 0o700:
            os.chmod(folder, 0o700)
    except OSError as exc:
        raise CircusError(
            f"{endpoint}: cannot make the folder {folder}: {exc.strerror}; name another endpoint"
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise CircusError(f"{endpoint}: {folder} is no folder; remove it or name another endpoint")
    if found.st_uid != os.geteuid():
        raise CircusError(
            f"{endpoint}: the folder {folder} belongs to {_user_name(found.st_uid)}, who could take the endpoint over; "
            "remove it or name another endpoint"
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def give_to(endpoint: str, owner: str) -> str | None:
    """Give the socket file of a bound endpoint to the user ``owner``, a name or a number.

    Return a warning if that user cannot reach it nevertheless. Raise :class:`~circus.exc.CircusError` if there is no
    such user, or the file cannot be given away. An endpoint without a file stays as it is.
    """
    path = ipc_path(endpoint)
    try:
        uid = int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid
    except KeyError:
        raise CircusError(f"endpoint_owner: there is no user {owner!r}") from None
    if path is None:
        return None
    try:
        os.chown(path, uid, -1, follow_symlinks=False)
    except OverflowError:
        raise CircusError(f"endpoint_owner: there is no user {owner!r}") from None
    except OSError as exc:
        raise CircusError(
            f"endpoint_owner: cannot give {path} to {owner}: {exc.strerror}; run circusd as root"
        ) from None
    if uid not in (0, os.geteuid()) and os.path.dirname(path) == runtime_dir():
        return (
            f"endpoint_owner: {owner} may not enter the folder of {endpoint}; "
            "name an endpoint in a folder that this user may enter"
        )
    return None


def check_exposure(endpoint: str, auth: str | None, insecure: bool, euid: int) -> tuple[str | None, str | None]:
    """Say what is wrong with who can reach an endpoint: ``(error, warning)``, each None if there is none.

    Whoever reaches an endpoint without ``auth`` can run any program as this daemon's user.
    """
    transport, separator, place = endpoint.partition("://")
    if not separator or not place or transport not in _TRANSPORTS:
        return f"{endpoint!r} is no endpoint; write ipc://PATH or tcp://ADDRESS:PORT", None
    if transport != "tcp" or auth == "curve":
        return None, None
    host = place.rpartition(":")[0]
    if is_loopback(host):
        if euid or insecure:
            return None, None
        return None, (
            f"every local user can run programs as root through {endpoint}; "
            "use an ipc:// endpoint (the default), and ssh from elsewhere"
        )
    exposed = f"everybody who reaches {endpoint} can run programs as {_user_name(euid)}"
    if insecure:
        return None, f"{exposed}: insecure = True"
    remedy = "use an ipc:// endpoint and ssh, or bind to 127.0.0.1, or say that it is meant by insecure = True"
    return f"{exposed}; {remedy}", None


def is_loopback(host: str) -> bool:
    """Say whether a host to bind to, as ZeroMQ spells them, is reached from this machine alone.

    It is an address, ``*``, the name of an interface, or a host's name. What nobody knows counts as reachable.
    """
    host = host.removeprefix("[").removesuffix("]")
    if host in ("", "*", "localhost"):
        return host == "localhost"
    address = _interface_address(host)
    if address is not None:
        return address[0] == 127
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_is_loopback_address(text) for text in found)


def _is_loopback_address(text: str) -> bool:
    return text == "::1" or text.removeprefix("::ffff:").startswith("127.")


def _interface_address(name: str) -> bytes | None:
    """Return the IPv4 address of a network interface, which ZeroMQ binds for its name; None if there is no such one."""
    raw = os.fsencode(name)
    if not 0 < len(raw) < 16:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            return fcntl.ioctl(asker, _SIOCGIFADDR, struct.pack("256s", raw))[20:24]
        except (OSError, ValueError):
            return None


def bind_error_text(endpoint: str, exc: Exception) -> str:
    """Say why an endpoint could not be bound, and what to do. ``exc`` has an ``errno``, as ZeroMQ's errors do."""
    number = getattr(exc, "errno", None) or 0
    path = ipc_path(endpoint)
    folder = os.path.dirname(os.path.abspath(path)) if path else ""
    if path:
        known = {
            errno.ENOENT: f"the folder {folder} does not exist; create it or name another endpoint",
            errno.ENOTDIR: f"{folder} is no folder; name another endpoint",
            errno.EACCES: f"this user may not write in {folder}; name another endpoint",
            errno.EISDIR: f"{path} is a folder; name another endpoint",
        }
    else:
        known = {
            errno.EACCES: "only root may use a port below 1024; name another endpoint",
            errno.ENODEV: "this machine has no such address or interface; name another endpoint",
            errno.EADDRNOTAVAIL: "this machine has no such address; name another endpoint",
        }
    known |= {
        errno.EADDRINUSE: "the address is in use, by another circusd perhaps; stop it or name another endpoint",
        errno.EINVAL: "malformed; write ipc://PATH or tcp://ADDRESS:PORT",
        errno.EPROTONOSUPPORT: "unknown transport; write ipc://PATH or tcp://ADDRESS:PORT",
    }
    reason = os.strerror(number) if number and number < 1000 else str(exc)
    return f"cannot bind {endpoint}: {known.get(number, reason)}"
