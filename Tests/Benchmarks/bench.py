#!/usr/bin/env python3
"""Martlet beside HAProxy and nginx: CPU microseconds and user instructions per request.

Each proxy has one worker pinned to core 0; load and backend share core 1. CPU time is the growth of
/proc/PID/task/*/schedstat over all threads, divided by the answers that came. A row where the
proxy's core was less than 95 % busy is marked: there the load, not the proxy, set the pace.
"""

import argparse
import datetime
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time

import proxies

# name, path, connections, mode
SCENARIOS = [
    ("1 KiB keep-alive, 64 connections", "/1k/page", 64, "keep"),
    ("1 KiB keep-alive, 8 connections", "/1k/page", 8, "keep"),
    ("1 KiB keep-alive, 512 connections", "/1k/page", 512, "keep"),
    ("1 KiB, a connection per request, 64 at a time", "/1k/page", 64, "close"),
    ("64 KiB keep-alive, 64 connections", "/64k/page", 64, "keep"),
]
BUSY_SHARE = 0.95


def measure(proxy, pump, scenario, seconds):
    _, path, connections, mode = scenario
    before, start = proxy.cpu_nanoseconds(), time.monotonic()
    result = pump.run(proxy.front, path, connections, mode, "seconds", seconds)
    elapsed = time.monotonic() - start
    spent = proxy.cpu_nanoseconds() - before
    if result["completed"] == 0:
        raise RuntimeError(f"{proxy.name}: expected answers, got {result}")
    return {
        "cpu": spent / 1000 / result["completed"],
        "rate": result["completed"] / result["seconds"],
        "p50": result["p50us"] / 1000,
        "p99": result["p99us"] / 1000,
        "busy": spent / 1e9 / elapsed,
        "failed": result["failed"],
    }


def table(scenario, rounds, names):
    """Medians over the rounds; ratios against the better peer."""
    medians = {
        name: {key: statistics.median(r[key] for r in rounds[name]) for key in rounds[name][0]}
        for name in names
    }
    peers = [medians[n]["cpu"] for n in names if n != "martlet"]
    best = min(peers) if peers else medians[names[0]]["cpu"]
    lines = [
        f"### {scenario[0]}",
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
            f" {m['rate']:.0f} | {m['p50']:.2f} | {m['p99']:.2f} | {m['busy']:.2f}{mark} |"
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
        f"- method: {options.rounds} interleaved rounds of {options.seconds} s, medians; one worker "
        "pinned to core 0, load and backend on core 1; CPU from scheduler statistics over all threads",
        "",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--proxies", default="martlet,haproxy,nginx")
    parser.add_argument("--skip-instructions", action="store_true")
    parser.add_argument("--output", help="file for the table; default: results/<date>.md")
    options = parser.parse_args()
    names = options.proxies.split(",")

    directory = tempfile.mkdtemp(prefix="martlet-bench-")
    running = []
    lines = head(options)
    try:
        binary, _ = proxies.build_tools(directory)
        pump = proxies.Pump(binary, core=1)
        running.append(pump)
        for scenario in SCENARIOS:
            rounds = {name: [] for name in names}
            fresh = {name: proxies.Proxy(name, pump.port, core=0) for name in names}
            running.extend(fresh.values())
            for name in names:
                measure(fresh[name], pump, scenario, 0.3)
            for number in range(options.rounds):
                for name in names:
                    rounds[name].append(measure(fresh[name], pump, scenario, options.seconds))
                print(f"{scenario[0]}: round {number + 1} of {options.rounds}", flush=True)
            for proxy in fresh.values():
                proxy.stop()
                running.remove(proxy)
            lines += table(scenario, rounds, names)
        if not options.skip_instructions:
            lines += ["### User instructions per request (callgrind, 16 connections)", ""]
            lines += ["| proxy | instructions |", "|---|---|"]
            for name in names:
                print(f"instructions: {name}", flush=True)
                count = proxies.instructions_per_request(name, pump)
                lines.append(f"| {name} | {count:.0f} |")
            lines.append("")
    finally:
        for item in reversed(running):
            item.stop()
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
