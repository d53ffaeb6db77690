"""Runs one command and writes what it took, as JSON: seconds, memory, exit status.

usage: launch.py RESULT CPUS STDIN STDOUT STDERR COMMAND...

A program of its own, and small on purpose: Linux counts into the peak memory of a process what
its parent held when it forked.  CPUS: the command may run on so many, however many threads it
starts.  Peak memory is the kernel's own account; anonymous memory (what no file stands behind)
has none, so it is looked at 20 times a second.
"""

import json
import os
import select
import sys
import time

LOOK_MS = 50


def start(command, files):
    pid = os.fork()
    if pid:
        return pid
    try:
        for fd, (path, flags) in enumerate(files):
            os.dup2(os.open(path, flags, 0o644), fd)
        os.execvp(command[0], command)
    except OSError as e:
        os.write(2, ("%s: %s\n" % (command[0], e.strerror)).encode())
    os._exit(127)


def anonymous_kib(pid):
    try:
        with open("/proc/%d/status" % pid, encoding="utf-8", errors="replace") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith(("RssAnon", "RssShm")))
    except (OSError, ValueError):
        return 0


def watch(pid):
    """Until the process ends; returns the most anonymous memory that was seen."""
    most = 0
    ended = select.poll()
    ended.register(os.pidfd_open(pid), select.POLLIN)
    while not ended.poll(LOOK_MS):
        most = max(most, anonymous_kib(pid))
    return most


def main():
    result, cpus, stdin, stdout, stderr = sys.argv[1:6]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(cpus)])
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [(stdin, os.O_RDONLY), (stdout, written), (stderr, written)]
    started = time.perf_counter()
    pid = start(sys.argv[6:], files)
    anonymous = watch(pid)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    with open(result, "w", encoding="utf-8") as f:
        json.dump({"wall": wall, "cpu": usage.ru_utime + usage.ru_stime,
                   "peak_kib": usage.ru_maxrss, "anonymous_kib": anonymous,
                   "status": os.waitstatus_to_exitcode(status)}, f)


if __name__ == "__main__":
    main()
