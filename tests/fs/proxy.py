# SPDX-License-Identifier: MIT
"""A TCP proxy that stands between two mounts: counts, slows, stalls, cuts, corrupts, and acts at an exact byte."""
import contextlib
import socket
import struct
import threading
import time

UP, DOWN = "up", "down"  # from who dialled, and back
CHUNK = 1 << 18


class _Connection:
    def __init__(self, client, server):
        self.client, self.server = client, server
        self.open_ends = 2

    def reset(self):
        """Ends both sides with RST, so that bytes still in our kernel buffers are lost as on a cut."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the pump that waits in recv
        self.close()

    def close(self):
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.close()


class Proxy:
    """Listens on `port` of 127.0.0.1 and dials 127.0.0.1:target. Directions are named by who dialled: UP is dialler to listener."""

    def __init__(self, target):
        self.target = target
        self.count = {UP: 0, DOWN: 0}        # bytes passed on, over all connections
        self.n_connections = 0
        self._state = threading.Condition()
        self._rate = {UP: None, DOWN: None}
        self._free_at = {UP: 0.0, DOWN: 0.0}
        self._at = {UP: [], DOWN: []}        # (count, function), sorted
        self._flip = {UP: None, DOWN: None}
        self._stalled = False
        self._refusing = False
        self._dribble = False
        self._tap = {UP: None, DOWN: None}
        self._closed = False
        self._connections = []
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept)

    # -- steering ------------------------------------------------------------------------------

    def rate(self, up=None, down=None):
        """Bytes per second for all connections together; None: as fast as it goes."""
        with self._state:
            self._rate = {UP: up, DOWN: down}
            self._free_at = {UP: 0.0, DOWN: 0.0}
            self._state.notify_all()

    def stall(self):
        """Nothing passes any more and nobody is told: a silent partition."""
        with self._state:
            self._stalled = True
            self._state.notify_all()

    def go_on(self):
        with self._state:
            self._stalled = False
            self._state.notify_all()

    def cut(self):
        """Resets all connections and every new one, until restore()."""
        with self._state:
            self._refusing = True
        self.drop()

    def restore(self):
        with self._state:
            self._refusing = False

    def drop(self):
        """Resets the connections there are; new ones are welcome."""
        with self._state:
            connections, self._connections = self._connections, []
            self._state.notify_all()
        for connection in connections:
            connection.reset()

    def at(self, direction, count, function):
        """Calls function() once, when `count` bytes in all have passed in that direction and not one more."""
        with self._state:
            self._at[direction].append((count, function))
            self._at[direction].sort(key=lambda entry: entry[0])

    def flip(self, direction, count):
        """Flips one bit of the byte that is number `count` (from 0) in that direction."""
        with self._state:
            self._flip[direction] = count

    def dribble(self, on=True):
        """Each byte goes in a segment of its own."""
        with self._state:
            self._dribble = on

    def tap(self, direction, function):
        """function(connection number, bytes) sees everything that passes in that direction."""
        with self._state:
            self._tap[direction] = function

    def close(self):
        with self._state:
            self._closed = True
            self._state.notify_all()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5)

    # -- pumping -------------------------------------------------------------------------------

    def _spawn(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._state:
                refusing = self._refusing or self._closed
            if refusing:
                _Connection(client, client).reset()
                continue
            self._spawn(self._connect, client)

    def _connect(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            server.settimeout(None)
        except OSError:
            _Connection(client, client).reset()
            return
        connection = _Connection(client, server)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Small buffers: what was sent and not passed on stays far below the bounds that tests check.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
        with self._state:
            if self._refusing or self._closed:
                connection.reset()
                return
            self._connections.append(connection)
            self.n_connections += 1
            number = self.n_connections
        self._spawn(self._pump, connection, number, client, server, UP)
        self._spawn(self._pump, connection, number, server, client, DOWN)

    def _pump(self, connection, number, source, sink, direction):
        buffer = bytearray(CHUNK)
        try:
            while True:
                size = source.recv_into(buffer)
                if size == 0:
                    break
                if not self._pass_on(connection, number, memoryview(buffer)[:size], sink, direction):
                    return
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        with self._state:
            connection.open_ends -= 1
            if connection.open_ends or connection not in self._connections:
                return
            self._connections.remove(connection)
        connection.close()

    def _pass_on(self, connection, number, data, sink, direction):
        """Forwards `data`; False if the connection was dropped meanwhile."""
        while data:
            size, actions = self._allowance(connection, len(data), direction)
            if size is None:
                return False
            piece, data = data[:size], data[size:]
            if piece:
                piece = self._corrupt(piece, direction)
                with self._state:  # counted before anybody can have seen them
                    self.count[direction] += size
                    tap = self._tap[direction]
                if tap:
                    tap(number, bytes(piece))
                sink.sendall(piece)
            for function in actions:
                function()
        return True

    def _allowance(self, connection, size, direction):
        """Waits until something may pass; returns how many bytes, and what to do after them (None: dropped)."""
        with self._state:
            while True:
                if self._closed or connection not in self._connections:
                    return None, []
                now = time.monotonic()
                wait = self._free_at[direction] - now
                if self._stalled:
                    self._state.wait()
                elif wait > 0:
                    self._state.wait(wait)
                else:
                    break
            if self._dribble:
                size = 1
            rate = self._rate[direction]
            if rate:
                size = min(size, max(1, rate // 50))
                self._free_at[direction] = max(now, self._free_at[direction]) + size / rate
            actions = []
            marks = self._at[direction]
            if marks and marks[0][0] <= self.count[direction] + size:
                mark = marks[0][0]
                size = max(0, mark - self.count[direction])
                while marks and marks[0][0] <= mark:
                    actions.append(marks.pop(0)[1])
            return size, actions

    def _corrupt(self, piece, direction):
        with self._state:
            where = self._flip[direction]
            start = self.count[direction]
            if where is None or not start <= where < start + len(piece):
                return piece
            self._flip[direction] = None
        copy = bytearray(piece)
        copy[where - start] ^= 0x10
        return copy
