"""A server that says what a test tells it to, byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from time import sleep

import hiredis

OK = b"+OK\r\n"
Answer = bytes | Iterable[bytes] | None
"""What is sent: at once, or chunk by chunk; None: the connection is closed."""
Script = Callable[[list[bytes]], Answer]
SETTING_UP = (b"CLIENT", b"SELECT", b"AUTH")


class Scripted:
    """Says OK to the handshake and has `script` answer everything else."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[list[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for end in (self._listener, *self._open):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                end.close()
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        reader = hiredis.Reader()
        try:
            while chunk := client.recv(65536):
                reader.feed(chunk)
                while (words := reader.gets()) is not False:
                    if not self._say(client, words):
                        return
        except OSError:
            return
        finally:
            client.close()

    def _say(self, client: socket.socket, words: list[bytes]) -> bool:
        if words[0] in SETTING_UP:
            client.sendall(OK)
            return True
        self.heard.append(words)
        answer = self.script(words)
        if answer is None:
            return False
        for chunk in (answer,) if isinstance(answer, bytes) else answer:
            client.sendall(chunk)
        return True


def drip() -> Iterable[bytes]:
    """An answer that goes on for ever and never ends."""
    yield b"$1000000\r\n"
    while True:
        sleep(0.02)
        yield b"x"


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def many(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(parts)


def number(value: int) -> bytes:
    return b":%d\r\n" % value
