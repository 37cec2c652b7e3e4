"""Runs a command and tells at the end how much CPU it has used, its children included.   usage: cpu_minutes.py
COMMAND ARGUMENT…

The exit code is the command's. Processes that nobody has waited for are not counted.
"""

import contextlib
import resource
import subprocess
import sys
import time


def main(command: list[str]) -> int:
    began = time.monotonic()
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # the command gets it too, and ends in its own way
                process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system, wall = (
        seconds / 60 for seconds in (used.ru_utime, used.ru_stime, time.monotonic() - began)
    )
    sys.stdout.write(
        f"CPU: {user + system:.2f} minutes ({user:.2f} user, {system:.2f} system), in {wall:.1f} minutes\n"
    )
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
