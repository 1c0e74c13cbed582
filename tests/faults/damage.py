"""One changed byte in what a stopped node has on its disk."""
import glob
import os
import struct

SEGMENT_HEADER, RECORD_HEADER = 128, 40


def _synced_records(data):
    """(offset, size) of the records of a segment that are certainly synced: a later record in it says so, by its
    watermark. docs/formats.md has the layout."""
    records, synced, at = [], 0, SEGMENT_HEADER
    own = data[16:24]
    while at + RECORD_HEADER <= len(data):
        segment, place, size = struct.unpack_from("<8sII", data, at + 8)
        mark_segment, mark = struct.unpack_from("<8sI", data, at + 24)
        if segment != own or place != at:
            break
        if mark_segment == own:
            synced = max(synced, mark)
        length = RECORD_HEADER + (size + 7) // 8 * 8
        records.append((at, length))
        at += length
    return [(place, length) for place, length in records if place + length <= synced]


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
        file.flush()
        os.fsync(file.fileno())


def damage_log(data_dir, rng):
    """Returns what was changed, or None if there is nothing that is certainly synced."""
    for path in sorted(glob.glob(os.path.join(data_dir, "**", "wal-*.seg"), recursive=True), reverse=True):
        with open(path, "rb") as file:
            records = _synced_records(file.read())
        if records:
            place, length = records[rng.randrange(len(records))]
            offset = place + rng.randrange(length)
            flip(path, offset)
            return "byte %d of %s" % (offset, os.path.basename(path))
    return None


def damage_snapshot(data_dir, rng):
    """The newest one; None if there is none."""
    paths = sorted(glob.glob(os.path.join(data_dir, "**", "snapshot-*.db"), recursive=True), key=os.path.getmtime)
    if not paths:
        return None
    size = os.path.getsize(paths[-1])
    offset = rng.randrange(size)
    flip(paths[-1], offset)
    return "byte %d of %d of %s" % (offset, size, os.path.basename(paths[-1]))
