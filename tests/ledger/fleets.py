"""Several real servers that belong together: a cluster, a primary with sentinels, one behind TLS."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import redis

PATIENCE = 30.0
SLOTS = 16384


def free_port() -> int:
    """A port that nobody listens on, nor on the one a cluster's own traffic would take."""
    while True:
        with socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port + 10_000 > 65_535:
                continue
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


def eventually(true: Callable[[], Any], what: str) -> Any:
    """What is true in the end.  Servers agree in their own time, which no call tells."""
    until = monotonic() + PATIENCE
    while monotonic() < until:
        try:
            if found := true():
                return found
        except redis.RedisError:
            pass
        sleep(0.01)
    pytest.fail(f"never came true: {what}")


class Node:
    """A redis-server on a port of its own."""

    def __init__(self, binary: str, folder: Path, *options: str, file: str = "") -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir()
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command = [binary, *place, *options]
        if file:
            # Sentinels write their file, so it cannot come as options.
            path = folder / "sentinel.conf"
            path.write_text(file.format(port=self.port, folder=folder))
            self._command = [binary, str(path), "--sentinel"]
        self.start()

    def start(self) -> None:
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def wait(self) -> None:
        eventually(lambda: self.ask("PING"), f"{self._command[0]} on {self.port}: {self.log()}")

    def log(self) -> str:
        return (self.folder / "log").read_text()[-2000:]

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)

    def ask(self, *words: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*words)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Cluster:
    """Three nodes with a third of the slots each."""

    def __init__(self, binary: str, folder: Path, nodes: int = 3) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.nodes = [Node(binary, folder / f"n{n}", *options) for n in range(nodes)]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def agree(self) -> None:
        many = len(self.nodes)
        for number, node in enumerate(self.nodes):
            node.wait()
            share = range(number * SLOTS // many, (number + 1) * SLOTS // many)
            # Slot by slot: their ranges came with 7.0.
            node.ask("CLUSTER", "ADDSLOTS", *share)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        for node in self.nodes:
            eventually(partial(self._agrees, node), f"the cluster: {node.log()}")

    def _agrees(self, node: Node) -> bool:
        slots = node.ask("CLUSTER", "SLOTS")
        return "cluster_state:ok" in node.ask("CLUSTER", "INFO") and len(slots) >= len(self.nodes)

    def id(self, node: Node) -> str:
        return str(node.ask("CLUSTER", "MYID"))

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()


SENTINEL = """port {{port}}
bind 127.0.0.1
dir {{folder}}
sentinel monitor books 127.0.0.1 {primary} 2
sentinel down-after-milliseconds books {down}
sentinel failover-timeout books 3000
"""


class Watch:
    """A primary, its replica, and three sentinels that watch them."""

    def __init__(self, binary: str, folder: Path, *options: str, down: int = 1000) -> None:
        self.primary = Node(binary, folder / "primary", "--repl-diskless-sync-delay", "0", *options)
        follows = ("--replicaof", "127.0.0.1", str(self.primary.port), "--repl-diskless-sync-delay", "0")
        self.replica = Node(binary, folder / "replica", *follows, *options)
        file = SENTINEL.format(primary=self.primary.port, down=down)
        self.sentinels = [Node(binary, folder / f"s{n}", file=file) for n in range(3)]
        self.nodes = [self.primary, self.replica, *self.sentinels]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/books"

    def agree(self) -> None:
        eventually(self._follows, "replication")
        eventually(lambda: all(map(self._knows, self.sentinels)), "the sentinels")

    def _follows(self) -> bool:
        with self.replica.client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def _knows(self, sentinel: Node) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_master("books")
        return bool(state["num-slaves"] >= 1 and state["num-other-sentinels"] >= 2)

    def named(self) -> int:
        """The port of the primary, by the first sentinel."""
        return int(self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "books")[1])

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.kill()


class Private:
    """A server heard over TLS only, with a certificate of its own authority."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.authority, self.certificate, self.key = certificates(folder)
        self.port = free_port()
        words = [binary, "--port", "0", "--tls-port", self.port, "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        words += ["--tls-cert-file", self.certificate, "--tls-key-file", self.key]
        words += ["--tls-ca-cert-file", self.authority, "--tls-auth-clients", "optional"]
        with open(folder / "log", "ab") as log:
            self._process = subprocess.Popen(list(map(str, words)), stdout=log, stderr=log)
        self._log = folder / "log"
        self.url = f"rediss://127.0.0.1:{self.port}?ssl_ca_certs={self.authority}"

    def agree(self) -> None:
        while not self._answers():
            if self._process.poll() is not None:
                pytest.skip(f"this redis-server has no TLS: {self._log.read_text()[-200:]}")
            sleep(0.01)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, and one it signed for 127.0.0.1 with its key."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def signed(name: str, key: Any, issuer: str, issuer_key: Any, *, authority: bool) -> Any:
        now = datetime.now(UTC)
        named = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer)]
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        building = x509.CertificateBuilder(named[1], named[0], key.public_key(), x509.random_serial_number())
        building = building.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        building = building.add_extension(x509.BasicConstraints(authority, None), critical=True)
        building = building.add_extension(addresses, critical=False)
        building = building.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        return building.add_extension(above, critical=False).sign(issuer_key, hashes.SHA256())

    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    made = {
        "authority.pem": signed("authority", keys[0], "authority", keys[0], authority=True),
        "server.pem": signed("server", keys[1], "authority", keys[0], authority=False),
    }
    for file, certificate in made.items():
        (folder / file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    kind = serialization.PrivateFormat.PKCS8
    (folder / "server.key").write_bytes(keys[1].private_bytes(serialization.Encoding.PEM, kind, plain))
    return folder / "authority.pem", folder / "server.pem", folder / "server.key"
