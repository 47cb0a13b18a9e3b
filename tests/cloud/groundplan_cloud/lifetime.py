"""Ends the process with whoever started it, so that no test leaves a server behind.

The end comes when a pipe on stdin closes, when the parent process is gone, or by SIGTERM/SIGINT.
A stdin that is no pipe (a terminal, /dev/null) says nothing and is not read.
"""

import os
import signal
import stat
import threading
import time

LOOK_AT_PARENT_EVERY = 0.5


def end_with_whoever_started_us():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    parent = int(os.environ.get("GROUNDPLAN_CLOUD_PARENT", os.getppid()))
    start(watch_parent, parent)
    if stdin_is_a_pipe():
        start(watch_stdin)


def start(watch, *arguments):
    threading.Thread(target=watch, args=arguments, daemon=True).start()


def watch_parent(parent):
    while os.getppid() == parent:
        time.sleep(LOOK_AT_PARENT_EVERY)
    os._exit(0)


def watch_stdin():
    while os.read(0, 4096):
        pass
    os._exit(0)


def stdin_is_a_pipe():
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
