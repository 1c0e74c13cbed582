"""Where a node of the fault tests keeps its data: a file system of its own, so that it can run full, hang or
lose power, or, without the rights for that, a plain folder."""
import fcntl
import os
import shutil
import struct
import subprocess
import time

EXT4_SHUTDOWN = 0x8004587d
WITHOUT_FLUSH = struct.pack("I", 2)
UMOUNT_S = 20


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        raise OSError("%s: %s" % (" ".join(command), done.stderr.decode(errors="replace").strip()))
    return done.stdout.decode()


class Folder:
    """Nothing but a folder: it outlives the death of processes, and cannot do more."""
    is_loop = False

    def __init__(self, scratch, name):
        self.path = os.path.join(scratch, name, "data")
        os.makedirs(self.path)

    def wipe(self):
        shutil.rmtree(self.path)
        os.makedirs(self.path)

    def close(self):
        """What it holds stays, as the scratch folder does."""


class Loop:
    """An ext4 file system in a file."""
    is_loop = True

    def __init__(self, scratch, name, megabytes=48):
        self.image = os.path.join(scratch, name + ".img")
        self.path = os.path.join(scratch, name, "data")
        self.bytes = megabytes << 20
        self.is_mounted = False
        self.copies = 0
        os.makedirs(self.path)
        self._make()

    def _make(self):
        with open(self.image, "wb") as image:
            image.truncate(self.bytes)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        self._mount()

    def _mount(self):
        run("mount", "-o", "loop,noatime", self.image, self.path)
        self.is_mounted = True

    def _unmount(self):
        # A process that was killed may hold its files for another moment.
        end = time.monotonic() + UMOUNT_S
        while self.is_mounted:
            try:
                run("umount", self.path)
                self.is_mounted = False
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def power_off(self):
        """What was not synced is lost from now on; everything fails until power_on."""
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, EXT4_SHUTDOWN, WITHOUT_FLUSH)
        finally:
            os.close(folder)

    def power_on(self):
        """With nobody using it."""
        self._unmount()
        self._leave_what_others_hold()
        self._mount()

    def _leave_what_others_hold(self):
        """A mount namespace that somebody else has made meanwhile keeps the file system that was shut down, and a
        mount of the same file would be that one again. A copy of the file is another one."""
        if run("losetup", "-j", self.image).strip():
            self.copies += 1
            copy = "%s.%d" % (self.image, self.copies)
            run("cp", "--sparse=always", self.image, copy)
            os.unlink(self.image)
            os.rename(copy, self.image)

    def fill(self):
        """Takes all space that is left."""
        with open(os.path.join(self.path, "ballast"), "ab") as ballast:
            step = 1 << 20
            size = 0
            while step >= 1024:
                try:
                    os.posix_fallocate(ballast.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def free(self):
        try:
            os.unlink(os.path.join(self.path, "ballast"))
        except FileNotFoundError:
            pass

    def freeze(self):
        run("fsfreeze", "--freeze", self.path)

    def thaw(self):
        run("fsfreeze", "--unfreeze", self.path)

    def wipe(self):
        self._unmount()
        self._leave_what_others_hold()
        self._make()

    def close(self):
        self._unmount()


def loops_work(scratch):
    """The reason why not, or None."""
    if os.geteuid() != 0:
        return "it takes root to mount file systems"
    try:
        probe = Loop(scratch, "probe")
        try:
            probe.power_off()
            probe.power_on()
        finally:
            probe.close()
            os.unlink(probe.image)
    except OSError as error:
        return str(error)
    return None
