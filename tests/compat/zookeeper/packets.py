#!/usr/bin/python3
"""ZooKeeper's protocol byte by byte, without any client library."""
import checks
import packets_access
import packets_connect
import packets_operations
import packets_watches
import packets_words

assert packets_connect and packets_operations and packets_watches and packets_access and packets_words

if __name__ == "__main__":
    checks.main()
