"""A program in a pseudo-terminal, as somebody sits before it: keys go in, what is shown comes out."""
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

import process_figures
from harness import COORDCTL, PATIENCE, clean_environment, expect, until

# What moves the cursor, colours, and rings.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|[\x07\r]")
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")


class Terminal:
    """Starts the arguments with a terminal of their own, of a process group of their own."""

    def __init__(self, *arguments, scratch, environment=None, columns=100):
        env = {**clean_environment(), "TERM": "xterm", "LC_ALL": "C.UTF-8", "HOME": scratch, **(environment or {})}
        self.raw = b""
        self.taken = 0
        self.code = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(arguments[0], arguments, env)
            finally:
                os._exit(127)
        # Until then a Ctrl-C would be Python's.
        until(lambda: self._is_started(arguments[0]), "%s is started" % arguments[0], 30)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def _is_started(self, program):
        return process_figures.has_ended(self.pid) or os.readlink("/proc/%d/exe" % self.pid) == os.path.realpath(program)

    def _pump(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:  # the program has gone
                return False
            self.raw += piece
            return bool(piece)
        return True

    def shown(self):
        """Everything so far, as text."""
        return CONTROL.sub("", self.raw.decode(errors="replace"))

    def wait_for(self, pattern, what, seconds=30):
        """Until the pattern is shown behind what was waited for before; returns the match."""
        end = time.monotonic() + seconds * PATIENCE
        while True:
            text = self.shown()
            found = re.compile(pattern, re.S | re.M).search(text, self.taken)
            if found:
                self.taken = found.end()
                return found
            alive = self._pump(0.2)
            expect(alive or re.compile(pattern, re.S | re.M).search(self.shown(), self.taken),
                   "%s: it ended, having shown %r" % (what, self.shown()[-2000:]))
            expect(time.monotonic() < end, "%s: not within %d s; shown: %r" % (what, seconds, self.shown()[-2000:]))

    def send(self, text):
        os.write(self.fd, text.encode())

    def takes_lines(self):
        """The terminal itself gathers what is typed into lines, and shows it: no program has changed that."""
        return termios.tcgetattr(self.fd)[3] & termios.ICANON and termios.tcgetattr(self.fd)[3] & termios.ECHO

    def finish(self, what, seconds=30):
        """Waits for its end; its exit code, negative for a signal."""
        end = time.monotonic() + seconds * PATIENCE
        while self.code is None:
            alive = self._pump(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                while self._pump(0) and select.select([self.fd], [], [], 0)[0]:
                    pass
                self.code = os.waitstatus_to_exitcode(status)
                break
            if not alive:
                time.sleep(0.01)
            expect(time.monotonic() < end, "%s: it did not end; shown: %r" % (what, self.shown()[-2000:]))
        return self.code

    def hang_up(self):
        os.close(self.fd)
        self.fd = None

    def close(self):
        if self.code is None:
            try:
                os.kill(self.pid, 9)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        if self.fd is not None:
            os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def coordctl(node, *arguments, scratch, environment=None, **more):
    """Of a node, or of endpoints as a text."""
    env = {"COORD_ENDPOINTS": node if isinstance(node, str) else node.endpoint, **(environment or {})}
    return Terminal(COORDCTL, *arguments, scratch=scratch, environment=env, **more)
