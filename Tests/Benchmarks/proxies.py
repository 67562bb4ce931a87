"""Starts the proxies under measurement and reads what the kernel counts of them."""

import base64
import functools
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MARTLET = os.path.join(ROOT, ".build/release/martlet")
DESCRIPTOR_LIMIT = 20000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raise_limits():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = DESCRIPTOR_LIMIT if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTOR_LIMIT)
    resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))


def build_tools(directory):
    """Compiles the load generator and the allocation counter."""
    pump = os.path.join(directory, "pump")
    counter = os.path.join(directory, "alloc_count.so")
    subprocess.run(["gcc", "-O2", "-o", pump, os.path.join(HERE, "pump.c")], check=True)
    subprocess.run(
        ["gcc", "-O2", "-shared", "-fPIC", "-o", counter, os.path.join(HERE, "alloc_count.c")],
        check=True,
    )
    return pump, counter


class Pump:
    """The load generator and backend, driven by lines."""

    def __init__(self, binary, core=None):
        self.port = free_port()
        pin = ["taskset", "-c", str(core)] if core is not None else []
        self.process = subprocess.Popen(
            pin + [binary, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=raise_limits,
        )
        wait_for_port(self.port, self.process)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"pump: expected an answer to '{line}', got end of output")
        return json.loads(answer)

    def run(self, port, path, connections, mode, unit, amount):
        return self.ask(f"run 127.0.0.1 {port} {path} {connections} {mode} {unit} {amount}")

    def hold(self, port, path, connections):
        return self.ask(f"hold 127.0.0.1 {port} {path} {connections}")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def wait_for_port(port, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]}: expected it to serve, it ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args[0]}: expected port {port} open within {seconds} s")


@functools.cache
def certificate():
    """A P-256 certificate of bench.example with its key, PEM; made once a run."""
    with tempfile.TemporaryDirectory() as directory:
        key, leaf = os.path.join(directory, "key"), os.path.join(directory, "crt")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", "/CN=bench.example",
             "-addext", "subjectAltName=DNS:bench.example", "-keyout", key, "-out", leaf],
            check=True, capture_output=True,
        )
        with open(leaf) as first, open(key) as second:
            return first.read(), second.read()


class Proxy:
    """One proxy process in a directory of its own. `wrapper` precedes its command line."""

    def __init__(self, name, back, core=None, wrapper=(), environment=None, workers=1):
        self.name = name
        self.directory = tempfile.mkdtemp(prefix=f"martlet-bench-{name}-")
        os.chmod(self.directory, 0o755)
        self.front = free_port()
        self.tls = free_port()
        # Martlet and nghttpx tell HTTP/2 from HTTP/1 by its preface, on one port.
        self.h2c = free_port() if name in ("haproxy", "nginx") else self.front
        chain, key = self._write_certificate()
        self.values = {
            "@DIR@": self.directory,
            "@FRONT@": str(self.front),
            "@TLS@": str(self.tls),
            "@H2C@": str(self.h2c),
            "@BACK@": str(back),
            "@STATUS@": str(free_port()),
            "@WORKERS@": str(workers),
            "@CRT@": base64.b64encode(chain.encode()).decode(),
            "@KEY@": base64.b64encode(key.encode()).decode(),
        }
        pin = ["taskset", "-c", str(core)] if core is not None else []
        self.log = open(os.path.join(self.directory, "output.log"), "w+b")
        self.process = subprocess.Popen(
            pin + list(wrapper) + self._command(),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            preexec_fn=raise_limits,
            env=dict(os.environ, **(environment or {})),
        )
        try:
            wait_for_port(self.front, self.process)
            self._wait_for_route()
        except Exception:
            print(self.output()[-2000:])
            self.stop()
            raise

    def _write_certificate(self):
        chain, key = certificate()
        for name, text in (("bench.crt", chain), ("bench.key", key), ("bench.pem", chain + key)):
            path = os.path.join(self.directory, name)
            with open(path, "w") as file:
                file.write(text)
        return chain, key

    def _fill(self, source, target):
        with open(os.path.join(HERE, "peers", source)) as file:
            text = file.read()
        for key, value in self.values.items():
            text = text.replace(key, value)
        path = os.path.join(self.directory, target)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def _command(self):
        if self.name == "haproxy":
            return ["haproxy", "-db", "-f", self._fill("haproxy.cfg", "haproxy.cfg")]
        if self.name == "nginx":
            return ["nginx", "-p", self.directory, "-c", self._fill("nginx.conf", "nginx.conf")]
        if self.name == "nghttpx":
            return ["nghttpx", "--conf", self._fill("nghttpx.conf", "nghttpx.conf")]
        self._fill("martlet/manifests/bench.yaml", "manifests/bench.yaml")
        # Without its symbols: Debian's valgrind does not read this compiler's debug information.
        binary = os.path.join(self.directory, "martlet")
        subprocess.run(["strip", "-o", binary, MARTLET], check=True)
        return [binary, "agent", "--config", self._fill("martlet/agent.yaml", "agent.yaml")]

    def _wait_for_route(self):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.front}/1k", headers={"Host": "bench.example"}
        )
        for attempt in range(100):
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    if len(answer.read()) == 1024:
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"{self.name}: expected 1,024 bytes from /1k")

    def output(self):
        self.log.flush()
        with open(self.log.name, errors="replace") as file:
            return file.read()

    def threads(self):
        return [int(t) for t in os.listdir(f"/proc/{self.process.pid}/task")]

    def cpu_nanoseconds(self):
        """Time on a core over all threads, from the scheduler's statistics."""
        total = 0
        for thread in self.threads():
            with open(f"/proc/{self.process.pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
        return total

    def anonymous_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        """Ends the proxy as an operator would; returns what it wrote."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        text = self.output()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        return text


def instructions_per_request(name, pump, short=2000, long=12000, connections=16, workers=1):
    """User instructions of one request: two run lengths under callgrind, their difference."""
    counts = []
    for requests in (short, long):
        proxy = Proxy(
            name,
            pump.port,
            wrapper=["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"],
            workers=workers,
        )
        try:
            result = pump.run(proxy.front, "/1k", connections, "keep", "requests", requests)
            if result["failed"] or result["completed"] < requests:
                raise RuntimeError(f"{name}: expected {requests} answers, got {result}")
        finally:
            text = proxy.stop()
        collected = [line.split(":")[1] for line in text.splitlines() if "Collected :" in line]
        if len(collected) != 1:
            raise RuntimeError(f"{name}: expected one callgrind total, got {text[-1500:]}")
        counts.append(int(collected[0]))
    return (counts[1] - counts[0]) / (long - short)
