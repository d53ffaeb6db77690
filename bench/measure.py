"""Runs contenders in turn, again and again, and keeps what each run took."""

import json
import os
import signal
import subprocess
import sys
import time

LAUNCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launch.py")


class Contender:
    """A command to measure.  `before` is called before each run; `after` reads what a run left, a
    dictionary of figures, and is not timed."""

    def __init__(self, name, isa, command, env=None, stdin=os.devnull, work=".", before=None,
                 after=None):
        self.name, self.isa = name, isa
        self.command, self.env, self.stdin, self.work = command, env, stdin, work
        self.before = before or (lambda: None)
        self.after = after or (lambda: {})
        self.stdout = os.path.join(work, "stdout")
        self.stderr = os.path.join(work, "stderr")
        self.runs = []
        self.failure = None
        self.spent = 0.0

    @property
    def key(self):
        return self.name + ("/" + self.isa if self.isa else "")

    def printed(self):
        """The last line of its standard output, as JSON."""
        with open(self.stdout, encoding="utf-8") as f:
            return json.loads(f.read().rstrip("\n").rpartition("\n")[2])

    def complaint(self):
        """The last line it wrote to standard error: for the terminal only, it may hold paths."""
        try:
            with open(self.stderr, encoding="utf-8", errors="replace") as f:
                lines = [line.strip() for line in f if line.strip()]
        except OSError:
            lines = []
        return lines[-1] if lines else "it said nothing"

    def run(self, cpus, timeout):
        """One run; returns its figures or None, and then `failure` says why."""
        os.makedirs(self.work, exist_ok=True)
        self.before()
        result = os.path.join(self.work, "result.json")
        launcher = [sys.executable, "-I", "-S", LAUNCH, result, str(cpus), self.stdin,
                    self.stdout, self.stderr]
        process = subprocess.Popen(launcher + self.command, env=self.env, cwd=self.work,
                                   start_new_session=True)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.failure = "not done in %g s" % timeout
            return None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        with open(result, encoding="utf-8") as f:
            figures = json.load(f)
        if figures["status"]:
            self.failure = "failed (exit status %d)" % figures["status"]
            return None
        figures.update(self.after())
        return figures


def measure(contenders, runs, budget, cpus, timeout, say):
    """Up to `runs` rounds over all contenders; one that has spent `budget` seconds has no further
    run.  Rounds, so that a slow minute of the machine falls on all alike."""
    for k in range(runs):
        for c in contenders:
            if c.failure or (c.runs and c.spent >= budget):
                continue
            started = time.monotonic()
            figures = c.run(cpus, timeout)
            c.spent += time.monotonic() - started
            if figures is None:
                say("  %s: %s: %s" % (c.key, c.failure, c.complaint()))
                continue
            c.runs.append(figures)
            say("  %s, run %d: %.2f s, %.0f MiB" % (c.key, k + 1, figures["wall"],
                                                   figures["peak_kib"] / 1024))
