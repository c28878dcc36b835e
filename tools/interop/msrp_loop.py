"""One thread that waits for sockets and for time, and what it reads and writes."""

import concurrent.futures
import contextlib
import heapq
import itertools
import selectors
import socket
import struct
import threading
import time


class Loop(threading.Thread):
    """Calls what is due and what has something to read. Everything that it calls is one thread."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.due, self.order, self.asked, self.stopped = [], itertools.count(), [], False
        self.woken, self.wake = socket.socketpair()
        self.broken = []
        self.watch(self.woken, lambda: self.woken.recv(4_096))
        self.start()

    def watch(self, each, call):
        each.setblocking(False)
        self.selector.register(each, selectors.EVENT_READ, call)

    def forget(self, each):
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(each)

    def after(self, seconds, call):
        """Only from within the thread."""
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.order), call))

    def run_within(self, call):
        """From any other thread: what `call` returns."""
        result = concurrent.futures.Future()
        self.asked.append((call, result))
        self.wake.send(b".")
        return result.result(timeout=10)

    def run(self):
        while not self.stopped:
            wait = max(self.due[0][0] - time.monotonic(), 0) if self.due else None
            for key, _ in self.selector.select(wait):
                self.guard(key.data)
            while self.asked:
                call, result = self.asked.pop(0)
                try:
                    result.set_result(call())
                except Exception as fault:
                    result.set_exception(fault)
            while self.due and self.due[0][0] <= time.monotonic():
                self.guard(heapq.heappop(self.due)[2])

    def guard(self, call):
        """An actor that breaks has to be seen, and must not look like one that is silent."""
        try:
            call()
        except Exception as fault:
            self.broken.append(repr(fault))

    def stop(self):
        self.run_within(lambda: setattr(self, "stopped", True))
        self.join()
        self.selector.close()
        self.woken.close()
        self.wake.close()


class Connection:
    """A TCP connection of the loop."""

    def __init__(self, loop, connected, take, lost):
        self.loop, self.socket, self.take, self.lost = loop, connected, take, lost
        self.is_open, self.waiting = True, b""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.watch(connected, self.read)

    def read(self):
        try:
            octets = self.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if octets:
            self.take(octets)
        else:
            self.close()

    def send(self, octets, slowly=False):
        """Whether the system, or who comes after an octet at a time, has all of it."""
        if slowly:
            is_idle = not self.waiting
            self.waiting += octets
            if is_idle:
                self.drip()
            return self.is_open
        octets, self.waiting = self.waiting + octets, b""
        return self.push(octets)

    def push(self, octets):
        if not self.is_open:
            return False
        try:
            self.socket.settimeout(5)
            self.socket.sendall(octets)
            self.socket.setblocking(False)
        except OSError:
            self.close()
            return False
        return True

    def drip(self):
        """One octet, in a segment of its own."""
        if self.waiting and self.push(self.waiting[:1]):
            self.waiting = self.waiting[1:]
            if self.waiting:
                self.loop.after(0.001, self.drip)

    def send_and_finish(self, octets):
        """The octets and FIN in one segment."""
        self.socket.send(octets, socket.MSG_MORE)
        self.socket.shutdown(socket.SHUT_WR)

    def finish(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        if self.is_open:
            self.is_open = False
            self.loop.forget(self.socket)
            self.socket.close()
            self.lost()


def listener(loop, host, port, accepted):
    """A TCP listener; `accepted` gets each connection."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(kind, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(64)

    def accept():
        with contextlib.suppress(BlockingIOError):
            accepted(listening.accept()[0])

    loop.watch(listening, accept)
    return listening
