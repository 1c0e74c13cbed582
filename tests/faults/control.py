"""Clocks and disk errors of one node, at run time: the file that preload.c maps."""
import mmap
import os
import struct
import time

from harness import BUILD

PRELOAD = os.path.abspath(BUILD + "/tests/faults/preload.so")
FIELDS = ("turn", "wall_offset_ns", "rate_ppm", "rate_from_ns", "gained_ns", "sync_errno", "write_errno",
          "disk_wait_ns")
LAYOUT = struct.Struct("=%dq" % len(FIELDS))


class Control:
    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def environment(self):
        # A sanitizer insists on being loaded before all others, unless it is told not to.
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        return {"LD_PRELOAD": PRELOAD, "FAULT_CONTROL": self.path, "ASAN_OPTIONS": options}

    def set(self, **changes):
        values = dict(zip(FIELDS, LAYOUT.unpack_from(self.memory)))
        values.update(changes)
        turn = values["turn"]
        self._store(values, turn + 1)
        self._store(values, turn + 2)

    def _store(self, values, turn):
        values["turn"] = turn
        struct.pack_into("=q", self.memory, 0, turn)
        LAYOUT.pack_into(self.memory, 0, *(values[name] for name in FIELDS))

    def jump_wall_clock(self, seconds):
        values = dict(zip(FIELDS, LAYOUT.unpack_from(self.memory)))
        self.set(wall_offset_ns=values["wall_offset_ns"] + int(seconds * 1e9))

    def set_clock_rate(self, ppm):
        """From now on its clocks run so much faster; what they have gained stays."""
        values = dict(zip(FIELDS, LAYOUT.unpack_from(self.memory)))
        now = time.monotonic_ns()
        gained = values["gained_ns"]
        if values["rate_ppm"] != 0:
            gained += (now - values["rate_from_ns"]) // 1000 * values["rate_ppm"] // 1000
        self.set(rate_ppm=ppm, rate_from_ns=now, gained_ns=gained)

    def close(self):
        self.memory.close()
