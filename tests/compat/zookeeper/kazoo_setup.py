"""kazoo clients for the checks: opened as they need them, ended with them."""
import contextlib
import logging
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException

import harness
from harness import PATIENCE, expect, until

# What happens when a server is killed is expected.
logging.getLogger("kazoo").setLevel(logging.CRITICAL)
WAIT_S = 20 * PATIENCE
# By itself kazoo doubles the time between its attempts up to a minute.
AT_LEAST_EACH_SECOND = {"max_tries": -1, "max_delay": 1}


class Clients(contextlib.ExitStack):
    """A with-block's clients; `states` of a client is what its listeners were told."""

    def __init__(self, t):
        super().__init__()
        self.t = t

    def open(self, server=None, timeout=10.0, **options):
        """To one server, or to all."""
        hosts = server.address if server else self.t.hosts
        client = KazooClient(hosts=hosts, timeout=timeout, connection_retry=dict(AT_LEAST_EACH_SECOND), **options)
        client.states = []
        client.add_listener(client.states.append)
        self.callback(self._end, client)
        client.start(timeout=WAIT_S)
        return client

    @staticmethod
    def _end(client):
        with contextlib.suppress(KazooException):
            client.stop()
        client.close()

    def server_of(self, client):
        """The server it is connected to."""
        return self.t.at("x:%d" % client._connection._socket.getpeername()[1])


def until_connected(client, seconds=30):
    until(lambda: client.state == KazooState.CONNECTED, "the client is connected", seconds)


def raises(error, call, *arguments, **options):
    """The error, which must be exactly of that class."""
    try:
        result = call(*arguments, **options)
    except KazooException as caught:
        expect(type(caught) is error, "%r instead of %s" % (caught, error.__name__))
        return caught
    raise harness.Failure("%r instead of %s" % (result, error.__name__))


def settled(client, path="/"):
    """Behind this, events of what others did before have arrived."""
    client.sync(path)
    client.exists(path)


class Thread(threading.Thread):
    """Runs a function; result() waits for it and raises what it raised."""

    def __init__(self, function, *arguments, **options):
        super().__init__(daemon=True)
        self.work = (function, arguments, options)
        self.value = self.error = None
        self.start()

    def run(self):
        function, arguments, options = self.work
        try:
            self.value = function(*arguments, **options)
        except Exception as error:
            self.error = error

    def result(self):
        self.join(WAIT_S)
        expect(not self.is_alive(), "a thread does not come to its end")
        if self.error:
            raise self.error
        return self.value
