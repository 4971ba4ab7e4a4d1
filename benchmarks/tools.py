"""What the measurements stand on: the small programs, the folders, and the environments of the Python peers."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import Missing

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("BENCH_CACHE", HERE.parent / ".bench"))
COMPILE_TIMEOUT = 60.0  # seconds
INSTALL_TIMEOUT = 300.0  # seconds
DESCRIPTORS = 8192  # supervisor holds three pipes for each of 1,000 workers


@dataclass(frozen=True)
class Programs:
    """Command lines (without arguments) of the supervised worker, of one that writes, and of the floor."""

    worker: tuple[str, ...]
    writer: tuple[str, ...]
    floor: tuple[str, ...]

    @property
    def native(self) -> bool:
        """True if they were compiled; the Python ones take some 10 ms to start, which hides the differences."""
        return len(self.worker) == 1


def build() -> Programs:
    """Compile them into the cache; without a C compiler take the slower Python ones."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    return Programs(**{name: _program(compiler, name) for name in ("worker", "writer", "floor")})


def _program(compiler: str | None, name: str) -> tuple[str, ...]:
    if compiler is not None:
        return (_compiled(compiler, name),)
    return (sys.executable, "-S", "-E", str(HERE / "native" / f"{name}.py"))


def _compiled(compiler: str, name: str) -> str:
    source, target = HERE / "native" / f"{name}.c", CACHE / "native" / name
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [compiler, "-O2", "-s", "-static", "-o", str(target), str(source)]
        subprocess.run(command, check=True, timeout=COMPILE_TIMEOUT)
    return str(target)


def scratch() -> Path:
    """The folder for the files of a run: in memory if programs may be run from there, so that no disk is measured."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and not os.statvfs(memory).f_flag & os.ST_NOEXEC:
        return memory
    return Path(tempfile.gettempdir())


def raise_descriptor_limit() -> None:
    """Give every supervisor room for 1,000 workers, as a service manager would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < room:
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))


def peer_environment(variable: str, requirement: str, program: str) -> Path:
    """The bin folder of the environment that holds a Python peer.

    It is the one that the environment variable names; without it, one in the cache, which is made when it is not there
    yet. Raises Missing when the program is not in it or it cannot be installed.
    """
    named = os.environ.get(variable)
    folder = Path(named) if named else CACHE / requirement.replace("==", "-")
    program_path = folder / "bin" / program
    if not named and not program_path.exists():
        _install(folder, requirement)
    if not program_path.exists():
        raise Missing(f"{program_path} does not exist; let {variable} name an environment with {requirement}")
    return folder / "bin"


def _install(folder: Path, requirement: str) -> None:
    sys.stderr.write(f"installing {requirement} into {folder}\n")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=INSTALL_TIMEOUT)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, requirement], check=True, timeout=INSTALL_TIMEOUT)
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(f"{requirement} could not be installed into {folder}: {error}") from error


def distribution_version(python: Path, distribution: str) -> str:
    """The installed version of a distribution, as the environment itself tells it."""
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    command = [str(python), "-P", "-c", code]  # -P: not what lies in the working directory
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=COMPILE_TIMEOUT)
    return done.stdout.strip() or "unknown version"
