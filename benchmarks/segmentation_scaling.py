"""How many scans a minute more cores and cards would give: a simulation from the stages that `segmentation.py` measured.

Events, not arithmetic: scans arrive as there is room, a core decodes, a device labels (a card, or on a processor the core
itself), a core measures, draws and writes. Stages vary by 10 % (log-normal). Not in it: the network and the disks of a cluster,
which will bound large numbers of workers; what a core does more slowly when all the others are busy is in it only as far as two
processes at once were measured to be slower than one.
"""

import heapq
from typing import Any

import numpy as np

SPREAD, SCANS = 0.1, 400


def throughput(decode_s: float, device_s: float, finish_s: float, *, cores: int, devices: int, seed: int = 1) -> float:
    """Scans a minute of `cores` cores and `devices` cards; 0 cards label on the cores."""
    rng = np.random.default_rng(seed)
    times = np.exp(rng.normal(-(SPREAD**2) / 2, SPREAD, (SCANS, 3))) * np.array([decode_s, device_s, finish_s])
    core_free, device_free = [0.0] * cores, [0.0] * max(devices, 1)
    if devices == 0:
        for scan in times:
            heapq.heappush(core_free, heapq.heappop(core_free) + float(scan.sum()))
        return 60 * SCANS / max(core_free)
    # A scan asks for its next stage when the last one has ended; whoever asks first is served first. No scan is begun
    # before one of the last `room` has ended, so that memory is bounded.
    room = cores + 2 * devices
    asking = [(0.0, number, 0) for number in range(min(room, SCANS))]
    heapq.heapify(asking)
    begun, last = len(asking), 0.0
    while asking:
        now, number, stage = heapq.heappop(asking)
        free = device_free if stage == 1 else core_free
        end = max(now, heapq.heappop(free)) + float(times[number, stage])
        heapq.heappush(free, end)
        if stage < 2:
            heapq.heappush(asking, (end, number, stage + 1))
            continue
        last = max(last, end)
        if begun < SCANS:
            heapq.heappush(asking, (end, begun, 0))
            begun += 1
    return 60 * SCANS / last


def simulate(results: dict[str, Any]) -> dict[str, Any]:
    """Return scans a minute for numbers of workers, from what was measured; nothing for a device that was not measured."""
    out: dict[str, Any] = {
        "simulation": True,
        "what": "discrete events from the measured stages; not measured, and without the bounds of disks and networks",
        "scans": SCANS,
    }
    for device in ("cpu", "cuda"):
        part = results.get(device)
        if not part:
            out[device] = "not yet measured"
            continue
        found: dict[str, Any] = {}
        for way, one in part["ours"].items():
            if "stages" not in one:
                continue
            stages = {name: stage["wall_s"] for name, stage in one["stages"].items()}
            device_s = stages["transfer"] + stages["network"] + stages["uncertainty"]
            finish = stages["quantify"] + stages["picture"] + stages["write"]
            if device == "cpu":
                rates = part.get("workers", {})
                slower = 1.0
                if "1" in rates and "2" in rates:
                    slower = max(1.0, 2 * rates["1"]["scans_per_minute"] / rates["2"]["scans_per_minute"])
                settings = [(cores, 0, slower if cores > 1 else 1.0) for cores in (1, 2, 4, 8, 16, 32, 64)]
            else:
                settings = [(16 * cards, cards, 1.0) for cards in (1, 2, 4, 8)]
            found[way] = [
                {
                    "cores": cores,
                    "cards": cards,
                    "scans_per_minute": round(
                        throughput(
                            factor * stages["decode"], factor * device_s, factor * finish,
                            cores=cores, devices=cards,
                        ),
                        1,
                    ),
                }
                for cores, cards, factor in settings
            ]  # fmt: skip
        out[device] = found
    return out
