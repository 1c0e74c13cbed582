"""Namespaces of its own for a test script: so that nobody is in its way, and what it mounts or kills is its own."""
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys

MARK = "COORD_TEST_ISOLATED"


def _command(flags):
    """The unshare command that works here, with rights or by a user namespace; None: neither is allowed."""
    for more in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *more, *flags]
        try:
            if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return command
        except OSError:
            return None
    return None


def isolate(*flags):
    """Goes on in namespaces of its own, as unshare's flags say, by running this very script in them; here it does not
    return then. Returns whether it runs in them: False means that the system does not allow it."""
    if MARK in os.environ:
        del os.environ[MARK]
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        return True
    command = _command(flags)
    if command:
        sys.exit(subprocess.run([*command, sys.executable, *sys.argv], env={**os.environ, MARK: "yes"},
                                check=False).returncode)
    return False


def bring_up_loopback():
    sioc_set_flags, up_and_running = 0x8914, 0x41
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, sioc_set_flags, struct.pack("16sH14x", b"lo", up_and_running))
