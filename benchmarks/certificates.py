"""Which models of the catalogue the Laplace engine certifies on the simulated cohort, and why the rest go to a sampler.

    python benchmarks/certificates.py [--models cbp_main ...] [--rows 27518] [--seeds 5]

`seed 1` is in the table; the other seeds say whether the verdict depends on the random numbers of the proposal. Models
that are not certified are fitted by `auto`, which says by which engine; `--no-sampling` leaves that out.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import muscle_bayes as mb
from muscle_bayes.errors import MuscleBayesError

PATH = Path(__file__).parent / "results" / "certificates.json"


def one_model(name: str, table: Any, seeds: int, sampling: bool) -> dict[str, Any]:
    """Fit by `laplace` with each seed, and by `auto` where that is refused."""
    model = mb.load_model(name)
    found: dict[str, Any] = {"formula": str(model.parsed)}
    clock = time.process_time()
    try:
        fits = [mb.fit(model, table, method="laplace", seed=seed) for seed in range(1, seeds + 1)]
    except MuscleBayesError as error:
        found |= {"certified": False, "reasons": [error.problem], "seeds_certified": 0}
    else:
        measures = fits[0].diagnostics.measures
        failures = [f.text.removeprefix("not certified: ") for f in fits[0].diagnostics.findings if f.kind == "failure"]
        found |= {
            "certified": fits[0].diagnostics.passed,
            "reasons": failures,
            "ess": measures["ESS of the weights"],
            "khat": measures["k-hat"],
            "seeds_certified": sum(fit.diagnostics.passed for fit in fits),
            "cpu_s": (time.process_time() - clock) / seeds,
        }
    if sampling and not found["certified"]:
        clock = time.process_time()
        sampled = mb.fit(model, table, method="auto", seed=1)
        worst = {key: value for key, value in sampled.diagnostics.measures.items() if isinstance(value, int | float)}
        found["handed_to"] = {
            "engine": sampled.method,
            "passed": sampled.diagnostics.passed,
            "cpu_s": time.process_time() - clock,
            **worst,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=mb.list_models())
    parser.add_argument("--rows", type=int, default=27_518)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--no-sampling", action="store_true")
    options = parser.parse_args()
    table = mb.simulate_cohort(n=options.rows, seed=1)
    kept = json.loads(PATH.read_text())["models"] if PATH.exists() else {}
    for name in options.models:
        kept[name] = one_model(name, table, options.seeds, not options.no_sampling)
        kept[name]["load_average"] = round(os.getloadavg()[0], 2)
        print(name, json.dumps(kept[name]), flush=True)
        out = {
            "simulated": True,
            "rows": options.rows,
            "draws": 4000,
            "seeds": options.seeds,
            "models": {name: kept[name] for name in sorted(kept) if name in mb.list_models()},
        }
        PATH.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
