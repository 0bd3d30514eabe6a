"""Make `.venv` beside this file from the hashed lock, and run one command in it.

python3 bootstrap.py report [OPTIONS]    race the quick preset into results/ and write the report there
python3 bootstrap.py test [OPTIONS]      run the tests; options go to pytest
python3 bootstrap.py -- COMMAND...       run anything inside, as in: python3 bootstrap.py -- crossover list
python3 bootstrap.py --help              this text

Needs Python 3.11 or newer on Linux or macOS, and nothing else. The first start installs for a minute or two; later ones
install nothing unless requirements.lock or pyproject.toml changed. OPTIONS of `report` go to `crossover run`, as in
`report --preset standard`. Tests run in one process a core; `-n 0` keeps them in one, as a debugger needs.
"""

import sys

# First of all, and in syntax that Python 3.6 reads, so that an old Python says what is wrong with it.
if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells older ones
    sys.exit("bootstrap: Python 3.11 or newer is needed, and this is %d.%d" % sys.version_info[:2])  # noqa: UP031

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
PROJECT = ROOT / "pyproject.toml"
MARK = VENV / "made-by-bootstrap"  # written first: what carries it may be removed
STAMP = VENV / "installed.json"  # written last: what lacks it is half made

# What pip says, and what we say instead.
CAUSES = (
    ("No space left on device", "the disk is full"),
    ("Disk quota exceeded", "the disk quota is used up"),
    ("DO NOT MATCH THE HASHES", "a downloaded package is not the one that requirements.lock names"),
    ("Could not install packages due to an OSError: [Errno 13]", "a file cannot be written"),
    ("NewConnectionError", "the package index cannot be reached; is there a network?"),
    ("ConnectTimeoutError", "the package index cannot be reached; is there a network?"),
    ("NameResolutionError", "the package index cannot be reached; is there a network?"),
    ("name resolution", "the package index cannot be reached; is there a network?"),
    ("ProxyError", "the package index cannot be reached through the proxy"),
    ("SSLError", "the package index cannot be reached securely; are the certificates right?"),
    ("Read timed out", "the package index stopped answering"),
    ("(from versions: none)", "the package index cannot be reached, or lacks a package of requirements.lock"),
    ("No matching distribution found", "a package of requirements.lock is not to be had for this Python and machine"),
)


class BootstrapError(Exception):
    """What stops the bootstrap, in one line."""


def say(message: str) -> None:
    """Tell the person at the terminal, on the error stream: output belongs to the command."""
    print(f"bootstrap: {message}", file=sys.stderr, flush=True)


def wanted() -> dict[str, str]:
    """What the stamp of a complete environment says: for which lock, project, Python and place it was made."""
    return {
        "requirements": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
        "project": hashlib.sha256(PROJECT.read_bytes()).hexdigest(),
        "python": f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}",
        "place": str(VENV),
    }


def found() -> dict[str, str]:
    """What the stamp says, or nothing where the environment is missing, half made or broken."""
    try:
        content = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    usable = isinstance(content, dict) and (VENV / "bin" / "python").exists()  # a dangling link does not exist
    return content if usable else {}


def ensure() -> None:
    """Bring `.venv` up to the lock and the project; touches nothing when neither changed.

    Raises:
        BootstrapError: it cannot be done.
    """
    if found() == wanted():
        return
    with alone():
        want, have = wanted(), found()  # somebody else may have finished meanwhile
        if have == want:
            return
        packages = {key: value for key, value in want.items() if key != "project"}
        if any(have.get(key) != value for key, value in packages.items()):
            make()
        stamp(packages)
        say("installing the project")
        pip("--no-index", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        stamp(want)


def stamp(content: dict[str, str]) -> None:
    """Write down what is installed, whole or not at all."""
    temporary = STAMP.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.replace(STAMP)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold a lock against a second bootstrap of this checkout; it ends with this process, however that ends."""
    import fcntl

    with Path(__file__).open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another bootstrap of this folder")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def make() -> None:
    """Make the environment anew and install the lock into it."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise BootstrapError(
            "this Python lacks venv or ensurepip; Debian and Ubuntu have them in the package python3-venv"
        )
    if VENV.is_symlink() or (VENV.exists() and not VENV.is_dir()):
        raise BootstrapError(f"{VENV} is in the way: not a folder")
    if VENV.exists():
        if any(VENV.iterdir()) and not MARK.exists() and not (VENV / "pyvenv.cfg").exists():
            raise BootstrapError(f"{VENV} is in the way: not a Python environment")
        say("removing an environment that is half made, moved or out of date")
        STAMP.unlink(missing_ok=True)
        shutil.rmtree(VENV)
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"making .venv with Python {version} and installing {LOCK.name}; a minute or two, once")
    VENV.mkdir()
    MARK.write_text("bootstrap.py made this folder and may remove it.\n")
    # From inside another environment this is still the Python that it was made from, which outlives it.
    python = getattr(sys, "_base_executable", None) or sys.executable
    call([python, "-I", "-m", "venv", str(VENV)], "the environment cannot be made")
    pip("--require-hashes", "--no-deps", "--requirement", str(LOCK))


def pip(*arguments: str) -> None:
    """Install with the environment's own pip; the user's settings of where packages come from hold."""
    command = [str(VENV / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    call([*command, "--progress-bar", "off", *arguments], "the packages cannot be installed")


def call(command: list[str], failed: str) -> None:
    """Run a command, following it on a terminal.

    Raises:
        BootstrapError: it did not end well; with the cause where it is known, and the whole output in a file.
    """
    # Settings that would send packages elsewhere than into the environment do not hold.
    elsewhere = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV")
    environment = {key: value for key, value in os.environ.items() if key not in elsewhere}
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if sys.stderr.isatty():
                print(f"\r{line.strip()[:79]:<79}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(f"\r{'':<79}", end="\r", file=sys.stderr, flush=True)
    if process.returncode:
        raise BootstrapError(f"{failed}: {cause(lines)}{kept(lines)}")


def cause(lines: list[str]) -> str:
    """Why pip failed, in one line."""
    text = "".join(lines)
    for sign, meaning in CAUSES:
        if sign in text:
            return meaning
    errors = [line.strip() for line in lines if "error" in line.lower()] or [line.strip() for line in lines]
    return errors[-1] if errors else "it said nothing"


def kept(lines: list[str]) -> str:
    """Write the whole output down, and say where; nothing where even that is not possible."""
    path = VENV / "install.log"
    try:
        path.write_text("".join(lines))
    except OSError:
        return ""
    return f" (its whole output is in {path})"


def environment() -> dict[str, str]:
    """The environment variables of commands run inside: that of the caller, activated."""
    ours = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
    ours["VIRTUAL_ENV"] = str(VENV)
    ours["PATH"] = os.pathsep.join([str(VENV / "bin"), os.environ.get("PATH", os.defpath)])
    return ours


def run(command: list[str], ours: dict[str, str]) -> int:
    """Run a command inside and wait for it."""
    return subprocess.run(command, env=ours, check=False).returncode


def become(command: list[str], ours: dict[str, str]) -> NoReturn:
    """Turn into a command inside, so that signals and the exit code are its own."""
    program = shutil.which(command[0], path=ours["PATH"])
    if program is None:
        raise BootstrapError(f"there is no command {command[0]!r} in the environment")
    sys.stdout.flush()
    os.execve(program, command, ours)  # noqa: S606


def report(options: list[str]) -> int:
    """Race, then write the report."""
    ours = environment()
    results = str(ROOT / "results")
    code = run(["crossover", "run", results, "--preset", "quick", *options], ours)
    if code:
        return code
    become(["crossover", "report", results], ours)


def test(options: list[str]) -> int:
    """Run the tests, on every core."""
    ours = environment()
    # One process compiles for all, since concurrent first compilations can disturb each other; and each worker has
    # a core for itself only if no library starts threads of its own.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        ours.setdefault(name, "1")
    code = run(["crossover", "warmup"], ours)
    if code:
        return code
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.chdir(ROOT)
    become(["python", "-m", "pytest", "-n", str(min(cores, 8)), *options], ours)


def main(arguments: list[str]) -> int:
    """Read the command line; returns the exit code where no command takes over this process."""
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if arguments[:1] == ["--"] and len(arguments) > 1:
        ensure()
        become(arguments[1:], environment())
    if arguments[:1] == ["report"]:
        ensure()
        return report(arguments[1:])
    if arguments[:1] == ["test"]:
        ensure()
        return test(arguments[1:])
    say("say what to do: report, test, or -- COMMAND...; --help tells more")
    return 2


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("bootstrap: Linux or macOS is needed; on Windows, its Linux subsystem is one")
    try:
        sys.exit(main(sys.argv[1:]))
    except BootstrapError as failure:
        say(str(failure))
        sys.exit(1)
    except OSError as error:
        say(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
