#!/usr/bin/env python3
"""What sharing costs: the relay with one worker, and with two that get the right or random packets.

Every message goes to one of many recipients, whose homes are known to the driver. With perfect
steering a digit in each request says which worker is its home, and responses come to a port of that
worker; with random scatter any worker gets any request, or any packet at all. Both are done from
outside by perf/scatter.py. The method is in perf/README.md.

    perf/workers.py                    five rounds of everything
    perf/workers.py --rounds 1 --seconds 3 --systems one,perfect
    perf/workers.py --systems one --rounds 0 --long 150 --t1 2000   ten million live entries
"""

import datetime
import json
import pathlib
import socket
import subprocess
import sys
import tempfile

import relay
import scatter

# Name: what it is, CPUs, own ports for requests, how the listeners are steered.
SYSTEMS = {
    "one": ("one worker", "0", True, None),
    "perfect": ("two workers, every packet at home", "0,1", True, "home"),
    "spread": ("two workers, steering = \"spread\"", "0,1", True, None),
    "scatter": ("two workers, requests at random", "0,1", True, "random"),
    "scatter-all": ("two workers, every packet at random", "0,1", False, "random"),
}
# Where the digit of the home stands in a request of the driver.
HOME_AT = 20
COUNTERS = ("allocations", "kernel_drops", "handed_over", "answered_for_home", "dropped_handover",
            "dropped_handover_proof", "datagrams_in", "messages_accepted")


def secret(directory):
    lines = dict(line.split(" ", 1) for line in (directory / "identity").read_text().splitlines())
    return lines["secret"]


def free_pair():
    """A port that nobody has now, and neither has anybody the next one."""
    while True:
        [first] = relay.free_ports(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
            try:
                held.bind(("127.0.0.1", first + 1))
            except (OSError, OverflowError):
                continue
            return first


def attempt(name, seconds, options):
    _, cpus, ports, steering = SYSTEMS[name]
    with tempfile.TemporaryDirectory(prefix="workers-") as text:
        directory = pathlib.Path(text)
        first = free_pair()
        port, sms, im = [port for port in relay.free_ports(5) if port - first not in (0, 1)][:3]
        listen, workers = f"127.0.0.1:{port}", len(cpus.split(","))
        config = (relay.SCENARIOS / "workers.toml").read_text()
        values = {
            "STATE": directory, "CPUS": cpus, "DRIVER": options.driver, "LISTEN": listen,
            "REQUESTS": f'ports = "{first}-{first + 1}"' if ports else "single_port = true",
            "SMS": f"127.0.0.1:{sms}", "IM": f"127.0.0.1:{im}", "SOCKET": directory / "status",
            "T1": f"{options.t1}ms", "RATE": options.capacity,
        }
        for key, value in values.items():
            config = config.replace(f"@{key}@", str(value))
        (directory / "roger.toml").write_text(config)
        binaries = relay.target_directory() / "release"
        log = open(directory / "log", "w+")
        process = relay.start("0,1", [binaries / "roger", "run", "--config",
                                      directory / "roger.toml"], stdout=log, stderr=log)
        try:
            relay.wait_until_ready(process, port)
            if steering:
                program = (scatter.at_random(workers) if steering == "random"
                           else scatter.by_octet(HOME_AT, workers))
                scatter.scatter(*scatter.endpoint(listen), program, workers)
            driver = relay.start(relay.DRIVER_CPU, [
                binaries / "lean-driver", "--target", listen, "--sms", f"127.0.0.1:{sms}",
                "--im", f"127.0.0.1:{im}", "--process", process.pid, "--seconds", seconds,
                "--window", options.window, "--homes", f"{secret(directory)}:{max(workers, 2)}",
            ], stdout=subprocess.PIPE, text=True)
            output, _ = driver.communicate(timeout=seconds + 60)
            if not output:
                sys.exit(f"the driver ended with {driver.returncode} around {name}")
            state = json.loads(relay.run(binaries / "roger", "status", "--json", "--socket",
                                         directory / "status"))
            counted = {each["name"]: each["value"]
                       for group in state["counters"] for each in group["counters"]}
            memory = [int(line.split()[1]) for line in
                      pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
                      if line.startswith("VmRSS")]
            result = json.loads(output) | {
                "system": name, "ok": driver.returncode == 0, "rss_kib": memory[0],
                "counters": {key: counted[key] for key in COUNTERS},
                "each": [worker["counters"].get("messages_accepted", 0)
                         for worker in state["workers"]],
            }
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise
        finally:
            relay.stop(process)
    handed = result["counters"]["handed_over"] / max(1, result["counters"]["messages_accepted"])
    result["handed"] = handed
    print(f"{name:12} {seconds:3} s  {result['per_second']:9,.0f}/s  {result['cpu_us']:6.2f} us"
          f" ({result['user_us']:.2f} user)  busy {result['busy']:.2f}  handed over {handed:.2f}"
          f" a message  homes {result['each']}  {result['statuses']}  sent again"
          f" {result['retransmitted']}", flush=True)
    return result


def rows(results, systems):
    found = []
    for system in systems:
        own = [result for result in results if result["system"] == system]
        if own:
            found.append([
                SYSTEMS[system][0], len(own), relay.spread([each["cpu_us"] for each in own]),
                relay.spread([each["user_us"] for each in own]),
                relay.spread([each["per_second"] / 1e3 for each in own], 1),
                relay.spread([each["handed"] for each in own]),
                relay.spread([each["latency_us"]["p50"] for each in own], 0),
                sum(each["retransmitted"] for each in own),
                sum(each["unanswered"] + each["wrong"] for each in own),
                relay.allocations(own),
            ])
    head = ["system", "runs", "CPU us/message", "of it user", "k messages/s",
            "handed over a message", "p50 us", "sent again", "unanswered or wrong", "allocations"]
    return relay.table(head, found)


def ratios(rounds, systems):
    found = []
    for system in systems:
        values = [each[system]["cpu_us"] / each["one"]["cpu_us"] for each in rounds
                  if system != "one" and "one" in each]
        if values:
            found.append([f"{SYSTEMS[system][0]} / one worker", relay.spread(values)])
    return relay.table(["ratio of CPU per message, within a round", "median [min-max]"], found)


def main():
    options = relay.arguments(__doc__.splitlines()[0], "workers", SYSTEMS, {
        "--driver": {"default": "io_uring", "help": "io_uring or mmsg"},
        "--t1": {"default": 500, "type": int, "help": "T1 in ms; timer J is 64 times that"},
        "--capacity": {"default": 150_000, "type": int, "help": "[capacity] rate"},
    })
    if not options.no_build:
        relay.build(["roger"])
    about = relay.machine()
    rounds = [{name: attempt(name, options.seconds, options) for name in options.systems}
              for _ in range(options.rounds)]
    longer = [attempt(name, options.long, options) for name in options.systems if options.long]
    lines = [f"# Relay of MESSAGE by several workers, {datetime.date.today()}", "",
             f"`{' '.join(['perf/workers.py', *sys.argv[1:]])}`", "", *about, "",
             f"Plain UDP on loopback, window {options.window}, {options.driver}, polling \"wait\"; "
             "the driver shares core 1 with the second worker. Medians with [min-max].", ""]
    if rounds:
        results = [result for each in rounds for result in each.values()]
        lines += [f"## {options.rounds} rounds of {options.seconds} s, interleaved", "",
                  rows(results, options.systems), "", ratios(rounds, options.systems), ""]
    if longer:
        live = 64 * options.t1 / 1_000
        lines += [f"## Once for {options.long} s, timer J {live:.0f} s", "",
                  rows(longer, options.systems), ""]
        for each in longer:
            entries = each["per_second"] * min(live, options.long)
            lines.append(f"- {SYSTEMS[each['system']][0]}: about {entries / 1e6:.1f} M finished "
                         f"transactions live at the end, resident {each['rss_kib'] // 1024} MiB.")
    options.record.parent.mkdir(parents=True, exist_ok=True)
    options.record.write_text("\n".join(lines) + "\n")
    print("\n" + options.record.read_text())
    results = longer + [result for each in rounds for result in each.values()]
    return relay.judge(results, lambda result: result["ok"]
                       and not result["counters"]["allocations"])


if __name__ == "__main__":
    sys.exit(main())
