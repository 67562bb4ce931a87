"""Loads besides the pump: HTTP/2 and TLS by h2load, handshakes, connections held idle."""

import json
import re
import socket
import ssl
import subprocess
import sys
import time

HOST = "bench.example"
GET = f"GET /1k HTTP/1.1\r\nHost: {HOST}\r\n".encode()
# The same with the least of HPACK: static indexes and literals without indexing.
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
H2_FIELDS = (
    b"\x82\x86\x04\x03/1k\x01" + bytes([len(HOST)]) + HOST.encode()
)
H2_REQUEST = len(H2_FIELDS).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x01" + H2_FIELDS


def h2load(port, path, connections, streams, seconds, tls=False, http1=False, core=1):
    """Runs h2load for some seconds; the answers, the failures and the seconds."""
    scheme = "https" if tls else "http"
    command = ["taskset", "-c", str(core), "h2load", f"-c{connections}", f"-m{streams}", "-t1"]
    command += [f"-D{int(seconds * 1000)}ms", f"--connect-to=127.0.0.1:{port}"]
    if http1:
        command.append("--h1")
    elif not tls:
        command.append("--no-tls-proto=h2c")
    # h2load sends the URI's authority; the port stands where the routes do not look.
    done = subprocess.run(
        command + [f"{scheme}://{HOST}{path}"], capture_output=True, text=True, timeout=120
    )
    total = re.search(
        r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored",
        done.stdout,
    )
    if done.returncode or not total:
        raise RuntimeError(f"h2load: expected a summary, got {done.stdout[-600:]}{done.stderr[-300:]}")
    succeeded, failed, errored = map(int, total.groups())
    return {"completed": succeeded, "failed": failed + errored, "seconds": seconds}


def client_context(http2=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2" if http2 else "http/1.1"])
    return context


def handshakes(port, seconds, resumed, core=1):
    """Makes TLS connections one after another in a process of its own, each with a request."""
    command = ["taskset", "-c", str(core), sys.executable, __file__]
    done = subprocess.run(
        command + [str(port), str(seconds), "resumed" if resumed else "full"],
        capture_output=True, text=True, timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"handshakes: expected a count, got {done.stderr[-600:]}")
    return json.loads(done.stdout)


def shake(port, seconds, resumed):
    context, session, count, reused = client_context(), None, 0, 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=HOST, session=session) as connection:
                connection.sendall(GET + b"Connection: close\r\n\r\n")
                while connection.recv(65536):
                    pass
                reused += connection.session_reused
                if resumed and session is None:
                    session = connection.session
        count += 1
    if resumed and reused < count - 1:
        raise RuntimeError(f"expected {count - 1} resumed sessions, got {reused}")
    print(json.dumps({"completed": count, "failed": 0, "seconds": seconds}))


class Held:
    """Idle connections over TLS or with HTTP/2, each of which has made one request."""

    def __init__(self, port, count, tls, http2):
        self.sockets = []
        context = client_context(http2) if tls else None
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), 10)
            if context:
                connection = context.wrap_socket(connection, server_hostname=HOST)
            if http2:
                connection.sendall(H2_PREFACE + H2_REQUEST)
            else:
                connection.sendall(GET + b"\r\n")
            self._read(connection)
            self.sockets.append(connection)

    def _read(self, connection):
        received = 0
        deadline = time.monotonic() + 10
        while received < 1024:
            part = connection.recv(65536)
            if not part or time.monotonic() > deadline:
                raise RuntimeError(f"expected an answer of 1,024 bytes, got {received}")
            received += len(part)

    def close(self):
        for connection in self.sockets:
            connection.close()


if __name__ == "__main__":
    shake(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "resumed")
