"""Loads mutated checkpoints in a process that would show a crash: ``python -m tests.checkpoints.fuzzing``.

Prints one JSON object: how many loaded, how many were refused, and everything that should not have happened.
"""

from __future__ import annotations

import codecs
import json
import random
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tests.checkpoints.exhaustion import faults
from tests.checkpoints.mutations import MUTATIONS, Sample
from tests.checkpoints.samples import SAMPLES

LONGEST = 10  # seconds of the processor for one file; the process is killed after them
MEMORY = 96 * 2**20  # bytes beyond what loading the intact files takes
FORBIDDEN = {
    "exec",
    "compile",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "pickle.find_class",
}


def main(folder: Path, seed: int, count: int) -> dict[str, Any]:
    """Mutates ``count`` files of all formats in turn."""
    torch.set_num_threads(1)
    mark, samples = folder / "mark", []
    for name, write in SAMPLES.items():
        path = folder / name / "intact"
        path.parent.mkdir()
        samples.append(Sample(path.parent, write(path, mark)))
        samples[-1].load()
    for encoding in ("cp437", "raw-unicode-escape", "unicode_escape"):
        codecs.lookup(encoding)  # Python imports the module of an encoding when it first meets it
    events: list[str] = []
    sys.addaudithook(lambda event, _: events.append(event) if event in FORBIDDEN else None)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    found: dict[str, Any] = {"loaded": 0, "refused": 0, "wrong": [], "slowest": 0.0}
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        sample = samples[number % len(samples)]
        mutation = chance.choice(MUTATIONS)
        sample.file.write_bytes(mutation(sample, chance, mark))
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        begin = time.process_time()
        try:
            sample.load()
            found["loaded"] += 1
        except ValueError as refusal:
            found["refused"] += 1
            for fault in faults(str(refusal), sample.path):
                found["wrong"].append(f"{number}: {mutation.__name__} of {sample.file}: {fault}")
        except BaseException as error:
            found["wrong"].append(f"{number}: {mutation.__name__} of {sample.file}: {error!r}")
        found["slowest"] = max(found["slowest"], time.process_time() - begin)
        signal.setitimer(signal.ITIMER_PROF, 0)
    found["wrong"] += sorted(set(events)) + (["a payload was executed"] if mark.exists() else [])
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
