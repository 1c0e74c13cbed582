"""What the system says of one process, whatever its program: memory, processor time, threads, descriptors."""
import os


def rss_bytes(pid):
    """Resident memory."""
    with open("/proc/%d/statm" % pid, encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def rss_mib(pid):
    return round(rss_bytes(pid) / (1 << 20), 1)


def stat(pid):
    """The fields of /proc/PID/stat behind the name of the program, which may hold blanks: state, parent, ..."""
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()


def has_ended(pid):
    """And nobody has asked for its exit code yet."""
    return stat(pid)[0] == "Z"


def cpu_s(pid):
    """Processor time of all its threads, its own and the system's for it."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(pid):
    return int(stat(pid)[17])


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))
