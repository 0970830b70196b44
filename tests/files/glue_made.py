"""Small folders of GLUE, made for tests."""

from __future__ import annotations

import json
import random
from pathlib import Path

WORDS = ("apple", "river", "stone", "green", "seven", "north", "cloud", "paper")


def make_task(root: Path, task: str, part: str, count: int, seed: int = 0) -> Path:
    """A part in JSON lines whose answer is whether a word is there (one sentence), or repeated (two)."""
    rng = random.Random(f"{seed}:{task}:{part}")
    folder = root / task
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        label = rng.randrange(2)
        first = rng.sample(WORDS[2:], 2)
        if task in ("cola", "sst2"):
            rows.append({"idx": number, "sentence1": " ".join([*first, WORDS[label]]), "label": label})
            continue
        second = first if label else rng.sample(WORDS[:2], 2)
        answer = 5.0 * label if task == "stsb" else label
        rows.append({"idx": number, "sentence1": " ".join(first), "sentence2": " ".join(second), "label": answer})
    path = folder / f"{part}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
