#!/usr/bin/env python3
"""Martlet beside HAProxy and nginx: CPU microseconds and user instructions per request.

Each proxy has one worker pinned to core 0; load and backend share core 1. CPU time is the growth of
/proc/PID/task/*/schedstat over all threads, divided by the answers that came. A row where the
proxy's core was less than 95 % busy is marked: there the load, not the proxy, set the pace.
"""

import argparse
import contextlib
import datetime
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time

import loads
import proxies

ALL = ("martlet", "haproxy", "nginx")
BUSY_SHARE = 0.95
IDLE_CONNECTIONS = 6000


class Scenario:
    """One row: how load is made, and who runs beside."""

    def __init__(self, name, drive, names=ALL):
        self.name, self.drive, self.names = name, drive, names


def pumped(path, connections, mode="keep"):
    return lambda proxy, pump, seconds: pump.run(
        proxy.front, path, connections, mode, "seconds", seconds
    )


def h2loaded(path, connections, streams, tls, http1=False):
    return lambda proxy, pump, seconds: loads.h2load(
        proxy.tls if tls else proxy.h2c, path, connections, streams, seconds, tls, http1
    )


def shaken(resumed):
    return lambda proxy, pump, seconds: loads.handshakes(proxy.tls, seconds, resumed)


WITH_NGHTTPX = ALL + ("nghttpx",)
SCENARIOS = [
    Scenario("1 KiB keep-alive, 64 connections", pumped("/1k/page", 64)),
    Scenario("1 KiB keep-alive, 8 connections", pumped("/1k/page", 8)),
    Scenario("1 KiB keep-alive, 512 connections", pumped("/1k/page", 512)),
    Scenario("1 KiB, a connection per request, 64 at a time", pumped("/1k/page", 64, "close")),
    Scenario("64 KiB keep-alive, 64 connections", pumped("/64k/page", 64)),
    Scenario(
        "HTTP/2 cleartext, 1 KiB, 10 connections of 32 streams",
        h2loaded("/1k/page", 10, 32, False), WITH_NGHTTPX,
    ),
    Scenario(
        "HTTP/2 over TLS, 1 KiB, 10 connections of 32 streams",
        h2loaded("/1k/page", 10, 32, True), WITH_NGHTTPX,
    ),
    Scenario("TLS keep-alive, 1 KiB, 64 connections", h2loaded("/1k/page", 64, 1, True, True)),
    Scenario("TLS keep-alive, 64 KiB, 16 connections", h2loaded("/64k/page", 16, 1, True, True)),
    Scenario("TLS full handshake with a request", shaken(False)),
    Scenario("TLS resumed handshake with a request", shaken(True)),
]


def measure(proxy, pump, scenario, seconds):
    before, start = proxy.cpu_nanoseconds(), time.monotonic()
    result = scenario.drive(proxy, pump, seconds)
    elapsed = time.monotonic() - start
    spent = proxy.cpu_nanoseconds() - before
    if result["completed"] == 0:
        raise RuntimeError(f"{proxy.name}: expected answers, got {result}")
    return {
        "cpu": spent / 1000 / result["completed"],
        "rate": result["completed"] / result["seconds"],
        "p50": result.get("p50us", 0) / 1000,
        "p99": result.get("p99us", 0) / 1000,
        "busy": spent / 1e9 / elapsed,
        "failed": result["failed"],
    }


def latency(milliseconds):
    return f"{milliseconds:.2f}" if milliseconds else "–"


def table(scenario, rounds, names):
    """Medians over the rounds; ratios against the better peer."""
    medians = {
        name: {key: statistics.median(r[key] for r in rounds[name]) for key in rounds[name][0]}
        for name in names
    }
    peers = [medians[n]["cpu"] for n in names if n != "martlet"]
    best = min(peers) if peers else medians[names[0]]["cpu"]
    lines = [
        f"### {scenario.name}",
        "",
        "| proxy | CPU us/request | least | against the better peer | requests/s | p50 ms | p99 ms | core busy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        m = medians[name]
        mark = "" if m["busy"] >= BUSY_SHARE else " (load-bound)"
        least = min(r["cpu"] for r in rounds[name])
        failed = sum(r["failed"] for r in rounds[name])
        note = f" {failed} failed" if failed else ""
        lines.append(
            f"| {name}{note} | {m['cpu']:.2f} | {least:.2f} | {m['cpu'] / best:.2f} |"
            f" {m['rate']:.0f} | {latency(m['p50'])} | {latency(m['p99'])} | {m['busy']:.2f}{mark} |"
        )
    return lines + [""]


def version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "not present"


def head(options):
    return [
        f"# Side by side, {datetime.date.today().isoformat()}",
        "",
        f"- machine: {platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        f"- haproxy: {version(['haproxy', '-v'])}",
        f"- nginx: {version(['nginx', '-v'])}",
        f"- nghttpx: {version(['nghttpx', '--version'])}",
        f"- method: {options.rounds} interleaved rounds of {options.seconds} s, medians; one worker "
        "pinned to core 0, load and backend on core 1; CPU from scheduler statistics over all threads",
        "",
    ]


@contextlib.contextmanager
def started(names, pump, **settings):
    running = {}
    try:
        for name in names:
            running[name] = proxies.Proxy(name, pump.port, core=0, **settings)
        yield running
    finally:
        for proxy in running.values():
            proxy.stop()


def wanted(names, options):
    return [name for name in names if name in options.proxies.split(",")]


def run_rounds(scenario, pump, options, saturated):
    names = wanted(scenario.names, options)
    rounds = {name: [] for name in names}
    with started(names, pump) as running:
        for name in names:
            measure(running[name], pump, scenario, 0.3)
        for number in range(options.rounds):
            for name in names:
                rounds[name].append(measure(running[name], pump, scenario, options.seconds))
            print(f"{scenario.name}: round {number + 1} of {options.rounds}", flush=True)
    if scenario is SCENARIOS[0]:
        saturated += [statistics.median(r["rate"] for r in rounds[name]) for name in names]
    return table(scenario, rounds, names)


def latencies(pump, options, saturated):
    """Latency at half of the rate at which the slowest is saturated, from when a request was due."""
    if not saturated:
        return []
    rate = int(min(saturated) / 2)
    name = f"1 KiB at {rate} requests/s (half of saturation), 64 connections"
    return run_rounds(Scenario(name, pumped("/1k/page", 64, f"paced:{rate}")), pump, options, [])


WARMING = {
    "plain": pumped("/1k/page", 64),
    "tls": h2loaded("/1k/page", 64, 1, True, True),
    "http2": h2loaded("/1k/page", 64, 1, False),
}


def memory(pump, options):
    """User memory of idle connections that each have made a request."""
    if options.only not in "idle connections":
        return []
    lines = [
        f"### User memory of {IDLE_CONNECTIONS} idle connections, bytes each",
        "",
        "| proxy | HTTP/1.1 | TLS | HTTP/2 |",
        "|---|---|---|---|",
    ]
    for name in wanted(ALL, options):
        cells = [held_bytes(name, kind, pump) for kind in ("plain", "tls", "http2")]
        print(f"idle connections: {name}: {cells}", flush=True)
        lines.append(f"| {name} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |")
    return lines + [""]


def held_bytes(name, kind, pump):
    with started([name], pump) as running:
        proxy = running[name]
        # What is allocated once, every block of a log's ring among it, is there before the
        # connections are counted.
        pump.run(proxy.front, "/1k/page", 64, "keep", "requests", 30000)
        measure(proxy, pump, Scenario("", WARMING[kind]), 0.3)
        # Idle is what has been so for a moment.
        time.sleep(2)
        before = proxy.anonymous_bytes()
        if kind == "plain":
            pump.hold(proxy.front, "/1k/page", IDLE_CONNECTIONS)
        else:
            port = proxy.tls if kind == "tls" else proxy.h2c
            held = loads.Held(port, IDLE_CONNECTIONS, kind == "tls", kind == "http2")
        time.sleep(2)
        grown = proxy.anonymous_bytes() - before
        if kind == "plain":
            pump.ask("release")
        else:
            held.close()
    return grown / IDLE_CONNECTIONS


def instructions(pump, options):
    if options.only not in "instructions":
        return []
    lines = ["### User instructions per request (callgrind, 16 connections)", ""]
    lines += ["| proxy | instructions |", "|---|---|"]
    for name in wanted(ALL, options):
        print(f"instructions: {name}", flush=True)
        lines.append(f"| {name} | {proxies.instructions_per_request(name, pump):.0f} |")
    if "martlet" in options.proxies.split(","):
        two = proxies.instructions_per_request("martlet", pump, workers=2)
        lines.append(f"| martlet, two workers | {two:.0f} |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--proxies", default=",".join(WITH_NGHTTPX))
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    parser.add_argument("--skip-instructions", action="store_true")
    parser.add_argument("--output", help="file for the table; default: results/<date>.md")
    options = parser.parse_args()

    directory = tempfile.mkdtemp(prefix="martlet-bench-")
    proxies.raise_limits()
    lines = head(options)
    binary, _ = proxies.build_tools(directory)
    pump = proxies.Pump(binary, core=1)
    try:
        saturated = []
        for scenario in SCENARIOS:
            if options.only in scenario.name:
                lines += run_rounds(scenario, pump, options, saturated)
        lines += latencies(pump, options, saturated)
        lines += memory(pump, options)
        if not options.skip_instructions:
            lines += instructions(pump, options)
    finally:
        pump.stop()
        shutil.rmtree(directory, ignore_errors=True)

    text = "\n".join(lines)
    print(text)
    output = options.output or os.path.join(
        proxies.HERE, "results", f"{datetime.date.today().isoformat()}.md"
    )
    with open(output, "w") as file:
        file.write(text)
    print(f"written to {os.path.relpath(output)}")


if __name__ == "__main__":
    main()
