"""Starts the test cloud: makes its Python environment on first use, then becomes the server.

Uses the standard library only. Never installs anything outside the environment's own folder, and
never anything whose hash is not in requirements.txt.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
UNAVAILABLE = 69  # sysexits.h: something this needs is not there


def main():
    if sys.version_info < OLDEST_PYTHON:
        fail(
            f"the test cloud needs Python 3.11 or newer, and python3 is {platform.python_version()}",
            "put a newer python3 first on the PATH",
        )
    # Whoever started this; when it is gone (also during a first, slow installation) so are we.
    os.environ["GROUNDPLAN_CLOUD_PARENT"] = str(os.getppid())
    environment = environment_home()
    if not is_complete(environment):
        make_environment(environment)
    os.environ["PYTHONPATH"] = str(HERE)
    python = str(environment / "bin" / "python")
    os.execv(python, [python, "-m", "groundplan_cloud", *sys.argv[1:]])


def environment_home():
    """One folder per set of requirements and interpreter, so that neither can be out of date."""
    named = os.environ.get("GROUNDPLAN_CLOUD_VENV")
    if named:
        return Path(named).absolute()
    digest = hashlib.sha256((HERE / "requirements.txt").read_bytes())
    digest.update(f"{sys.version}{sys.base_prefix}".encode())
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "groundplan" / f"cloud-venv-{digest.hexdigest()[:12]}"


def is_complete(environment):
    return (environment / "complete").exists()


def make_environment(environment):
    """Built beside its place and renamed, under a lock: others wait, and nobody sees half of it."""
    require_venv()
    environment.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{environment}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_complete(environment):
            return
        print(f"making the test cloud's Python environment in {environment}", file=sys.stderr)
        unfinished = Path(f"{environment}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        install(unfinished)
        (unfinished / "complete").touch()
        shutil.rmtree(environment, ignore_errors=True)
        unfinished.rename(environment)


def require_venv():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as missing:
        fail(
            f"the test cloud needs Python's {missing.name} module, and this python3 is without it",
            "apt-get install python3-venv (Debian and Ubuntu ship it apart)",
        )


def install(folder):
    requirements = str(HERE / "requirements.txt")
    commands = [
        [sys.executable, "-m", "venv", str(folder)],
        [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
            requirements,
        ],
    ]
    for command in commands:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            fail(
                "the test cloud's Python environment could not be made; the reason is above",
                "it needs a package index once; behind a proxy, set HTTPS_PROXY or PIP_INDEX_URL",
            )


def fail(message, hint):
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
    sys.exit(UNAVAILABLE)


if __name__ == "__main__":
    main()
