"""One changed byte in what a stopped node has on its disk."""
import glob
import os
import struct

SEGMENT_HEADER, RECORD_HEADER = 128, 40


def records_of(data):
    """(offset, size) of the records of a segment; docs/formats.md has the layout."""
    records, at = [], SEGMENT_HEADER
    mark = bytes(a ^ b for a, b in zip(data[16:24], data[96:104]))  # id and salt
    while at + RECORD_HEADER <= len(data):
        segment, place, size = struct.unpack_from("<8sII", data, at + 8)
        if segment != mark or place != at:
            break
        length = RECORD_HEADER + (size + 7) // 8 * 8
        records.append((at, length))
        at += length
    return records


def _synced_records(data):
    """Those that are certainly synced: a later record in the segment says so, by its watermark."""
    records = records_of(data)
    marks = [struct.unpack_from("<8sI", data, at + 24) for at, _ in records]
    synced = max((mark for segment, mark in marks if segment == data[16:24]), default=0)
    return [(place, length) for place, length in records if place + length <= synced]


def _crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def tear(path):
    """One more record was under way behind the last one: its header got there, its body did not."""
    with open(path, "r+b") as file:
        data = file.read()
        place, length = records_of(data)[-1]
        header = bytearray(data[place:place + RECORD_HEADER])
        struct.pack_into("<I", header, 16, place + length)
        struct.pack_into("<I", header, 0, _crc32c(header[4:]))
        file.seek(place + length)
        file.write(header)


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
