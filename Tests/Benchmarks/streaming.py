#!/usr/bin/env python3
"""Asserts that great bodies pass the release binary whole and in constant memory.

10 GiB from the endpoint and 1 GiB to it, over HTTP/1.1, TLS and HTTP/2 (in TLS). What is asserted
are bytes and memory, not times. Exit code 0 when all holds, 1 otherwise.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import proxies

GIB = 1 << 30
DOWN_BYTES = 10 * GIB
UP_BYTES = GIB
# What buffers of the kernel's size and one connection's blocks may come to.
GROWTH_CEILING = 16 << 20
CERTIFICATE = os.path.join(proxies.ROOT, "deploy/demo/manifests/25-certificate.yaml")
# Scheme and version.
WAYS = {
    "HTTP/1.1": ("http", "--http1.1"),
    "TLS": ("https", "--http1.1"),
    "HTTP/2": ("https", "--http2"),
}


class Endpoint:
    """Sends as many bytes as the path says, counts what it is sent, one thread a connection."""

    zeros = memoryview(bytes(1 << 20))

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            self._answer(connection)
        except ConnectionError:
            pass  # The proxy gave up: the client's figures tell.

    def _answer(self, connection):
        with connection:
            waiting = b""
            while True:
                while b"\r\n\r\n" not in waiting:
                    more = connection.recv(65536)
                    if not more:
                        return
                    waiting += more
                head, waiting = waiting.split(b"\r\n\r\n", 1)
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ")
                fields = dict(line.lower().split(": ", 1) for line in lines[1:])
                if method == "GET":
                    self._send(connection, 1024 if path == "/1k" else int(path[1:]))
                else:
                    count, waiting = self._count(connection, waiting, int(fields["content-length"]))
                    answer = str(count).encode()
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer) + answer
                    )

    def _send(self, connection, byte_count):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % byte_count)
        while byte_count > 0:
            piece = self.zeros[: min(byte_count, len(self.zeros))]
            connection.sendall(piece)
            byte_count -= len(piece)

    def _count(self, connection, waiting, byte_count):
        taken = min(len(waiting), byte_count)
        waiting = waiting[taken:]
        target = bytearray(1 << 20)
        while taken < byte_count:
            count = connection.recv_into(target, min(len(target), byte_count - taken))
            if count == 0:
                break
            taken += count
        return taken, waiting


class StreamProxy(proxies.Proxy):
    """The agent with a plain and a TLS listener before one endpoint."""

    def _command(self):
        self.values["@TLS@"] = str(proxies.free_port())
        self._fill("streaming/manifests.yaml", "manifests/stream.yaml")
        shutil.copy(CERTIFICATE, os.path.join(self.directory, "manifests"))
        config = self._fill("martlet/agent.yaml", "agent.yaml")
        return [proxies.MARTLET, "agent", "--config", config]

    def url(self, scheme, path):
        port = self.values["@TLS@"] if scheme == "https" else self.front
        return f"{scheme}://127.0.0.1:{port}{path}"

    def memory(self, name):
        with open(f"/proc/{self.process.pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError(f"expected {name} of process {self.process.pid}")

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")


def curl(*arguments, stdin=subprocess.DEVNULL):
    command = ["curl", "-s", "-k", "--max-time", "300", *arguments]
    result = subprocess.run(command, stdin=stdin, capture_output=True, text=True)
    return result.returncode, result.stdout


def download(proxy, way, byte_count):
    scheme, version = WAYS[way]
    return curl(
        version,
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{size_download}",
        proxy.url(scheme, f"/{byte_count}"),
    )


def upload(proxy, way, byte_count):
    scheme, version = WAYS[way]
    with open("/dev/zero", "rb") as zeros:
        head = subprocess.Popen(["head", "-c", str(byte_count)], stdin=zeros, stdout=subprocess.PIPE)
        outcome = curl(
            version,
            "-X",
            "POST",
            "-H",
            f"content-length: {byte_count}",
            "-H",
            "transfer-encoding:",
            "-H",
            "expect:",
            "-T",
            "-",
            "-w",
            " %{http_version}",
            proxy.url(scheme, "/count"),
            stdin=head.stdout,
        )
        head.stdout.close()
        head.wait()
    return outcome


def check(proxy, way, direction, byte_count):
    version = "2" if way == "HTTP/2" else "1.1"
    before = proxy.memory("VmRSS")
    proxy.forget_peak()
    start = time.monotonic()
    if direction == "down":
        outcome = download(proxy, way, byte_count)
        wanted = (0, f"{version} {byte_count}")
    else:
        outcome = upload(proxy, way, byte_count)
        wanted = (0, f"{byte_count} {version}")
    seconds = time.monotonic() - start
    growth = proxy.memory("VmHWM") - before
    holds = outcome == wanted and growth <= GROWTH_CEILING
    text = (
        f"{byte_count / GIB:.0f} GiB {direction} over {way}: whole, "
        f"memory grew by {growth / 1024:.0f} KiB, at most {GROWTH_CEILING >> 10} ({seconds:.0f} s)"
    )
    if outcome != wanted:
        text += f"; expected {wanted}, got {outcome}"
    return holds, text


def main():
    endpoint = Endpoint()
    proxy = StreamProxy("martlet", endpoint.port)
    failed = 0
    try:
        for way in WAYS:
            # Sessions, blocks and tables have their size before memory is looked at.
            download(proxy, way, 64 << 20)
            upload(proxy, way, 64 << 20)
        for way in WAYS:
            for direction, byte_count in [("down", DOWN_BYTES), ("up", UP_BYTES)]:
                holds, text = check(proxy, way, direction, byte_count)
                failed += not holds
                print(("ok      " if holds else "FAILED  ") + text, flush=True)
    finally:
        proxy.stop()
    print(f"streaming: {2 * len(WAYS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
