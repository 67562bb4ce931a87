#!/usr/bin/env python3
"""Asserts what a request may cost the release binary: instructions, allocations, idle memory.

Exit code 0 when every ceiling holds, 1 otherwise. The figures are counts, not times, so that other
load on the machine does not move them.
"""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import proxies

INSTRUCTION_CEILING = 5000
HTTP2_ALLOCATION_CEILING = 2
IDLE_CONNECTIONS = 6000
IDLE_BYTE_CEILING = 512
SLOT = struct.Struct("=QQQ")


def worker_allocations(path, proxy):
    """Allocations so far on worker threads, by thread id."""
    workers = {}
    for thread in proxy.threads():
        with open(f"/proc/{proxy.process.pid}/task/{thread}/comm") as file:
            if file.read().startswith("martlet-w"):
                workers[thread] = 0
    if not workers:
        raise RuntimeError("expected threads named martlet-w…, found none")
    with open(path, "rb") as file:
        for thread, allocations, _ in SLOT.iter_unpack(file.read()):
            if thread in workers:
                workers[thread] += allocations
    return workers


def check_allocations(pump, counter, directory):
    path = os.path.join(directory, "allocations")
    proxy = proxies.Proxy(
        "martlet",
        pump.port,
        environment={"LD_PRELOAD": counter, "ALLOC_COUNT_FILE": path},
    )
    try:
        # One keep-alive run each, so that pools, tables and logs have their size before the count.
        expect_answers(pump.run(proxy.front, "/1k/page", 8, "keep", "requests", 1000), 1000)
        before = worker_allocations(path, proxy)
        expect_answers(pump.run(proxy.front, "/1k/page", 8, "keep", "requests", 10000), 10000)
        after = worker_allocations(path, proxy)
    finally:
        proxy.stop()
    grown = sum(after.values()) - sum(before.values())
    return grown == 0, f"worker allocations between requests 1,000 and 11,000: {grown}, at most 0"


def check_http2_allocations(pump, counter, directory):
    """All allocations, those of nghttp2 that its sessions' memory does not serve among them."""
    path = os.path.join(directory, "http2-allocations")
    proxy = proxies.Proxy(
        "martlet",
        pump.port,
        environment={"LD_PRELOAD": counter, "ALLOC_COUNT_FILE": path},
    )
    totals = []
    try:
        # The same connections and streams each time; the shortest run grows pools and tables.
        for requests in (2000, 2000, 12000):
            ask_http2(proxy, requests)
            totals.append(sum(worker_allocations(path, proxy).values()))
    finally:
        proxy.stop()
    # What a connection takes, once, is in both differences.
    each = ((totals[2] - totals[1]) - (totals[1] - totals[0])) / 10000
    text = f"worker allocations per HTTP/2 request: {each:.3f}, at most {HTTP2_ALLOCATION_CEILING}"
    return each <= HTTP2_ALLOCATION_CEILING, text


def ask_http2(proxy, requests):
    command = ["h2load", "-c10", "-m32", "-t1", f"-n{requests}", "--no-tls-proto=h2c"]
    command += [f"--connect-to=127.0.0.1:{proxy.h2c}", "http://bench.example/1k/page"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if f"{requests} succeeded" not in done.stdout:
        raise RuntimeError(f"h2load: expected {requests} answers, got {done.stdout[-600:]}")


def check_idle_memory(pump):
    proxy = proxies.Proxy("martlet", pump.port)
    try:
        # Enough for every block of the access log's ring to have been written once.
        expect_answers(pump.run(proxy.front, "/1k/page", 64, "keep", "requests", 30000), 30000)
        # Idle is what has been so for a moment: what a burst took is given back by then.
        time.sleep(2)
        before = proxy.anonymous_bytes()
        expect_answers(pump.hold(proxy.front, "/1k/page", IDLE_CONNECTIONS), IDLE_CONNECTIONS)
        time.sleep(2)
        each = (proxy.anonymous_bytes() - before) / IDLE_CONNECTIONS
        pump.ask("release")
    finally:
        proxy.stop()
    text = f"user memory per idle connection: {each:.0f} bytes, at most {IDLE_BYTE_CEILING}"
    return each <= IDLE_BYTE_CEILING, text


def check_instructions(pump):
    # How events fall into turns of the loop only ever adds to what requests take.
    count = min(proxies.instructions_per_request("martlet", pump) for _ in range(3))
    text = f"user instructions per request: {count:.0f}, at most {INSTRUCTION_CEILING}"
    return count <= INSTRUCTION_CEILING, text


def expect_answers(result, count):
    if result["failed"] or result["completed"] < count:
        raise RuntimeError(f"expected {count} answers, got {result}")


def main():
    directory = tempfile.mkdtemp(prefix="martlet-counts-")
    failed = 0
    pump = None
    try:
        binary, counter = proxies.build_tools(directory)
        pump = proxies.Pump(binary)
        checks = [
            lambda: check_allocations(pump, counter, directory),
            lambda: check_http2_allocations(pump, counter, directory),
            lambda: check_idle_memory(pump),
            lambda: check_instructions(pump),
        ]
        for check in checks:
            holds, text = check()
            failed += not holds
            print(("ok      " if holds else "FAILED  ") + text, flush=True)
    finally:
        if pump:
            pump.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"counts: {len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
