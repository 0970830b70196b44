"""A problem that is in no paper, declared in `schema.yaml`: two pictures and a series to a class and a picture.

    python examples/moved_pictures/train.py [--out DIR] [--write]

The second picture is the first, moved left, right, up or down by two to four pixels; the series is a noisy sine, slow
or fast. The class is both: 8 of them. The pictures are spots of light at random places, so that no single picture tells
anything about the class, nor does the series alone tell more than half of it. The other answer is the second picture,
read back from the latents.

`--write` puts what the run measured on held-out examples into docs/schemas.md.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import anybyte
from anybyte.config import OptimConfig, Recipe, RunConfig
from anybyte.models.schema import Schema
from anybyte.tasks import ExampleSplits
from anybyte.tasks.arrays import Arrays
from anybyte.tasks.declared import Declared, measure
from anybyte.train.loop import train

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "schemas.md"
SIZE, STEPS, SPOTS = 16, 64, 2
MOVES = np.array([(0, -1), (0, 1), (-1, 0), (1, 0)])
"""Left, right, up, down as (rows, columns)."""


def make_examples(count: int, seed: int) -> Arrays:
    """`count` examples with a class each."""
    rng = np.random.default_rng(seed)
    direction, is_fast = rng.integers(0, 4, count), rng.integers(0, 2, count)
    moved = MOVES[direction] * rng.integers(2, 5, (count, 1))
    centres = rng.uniform(0, SIZE, (count, SPOTS, 2))
    first, second = draw_spots(centres), draw_spots(centres + moved[:, None])
    cycles = np.where(is_fast, rng.uniform(7, 11, count), rng.uniform(2, 5, count))
    angle = 2 * np.pi * (cycles[:, None] * np.arange(STEPS) / STEPS + rng.uniform(0, 1, (count, 1)))
    series = (np.sin(angle) + rng.normal(0, 0.3, (count, STEPS))).astype(np.float32)
    inputs = {"first": first, "second": second, "series": series[..., None]}
    return Arrays(inputs, {"motion": 2 * direction + is_fast}, name=f"examples of seed {seed}")


def draw_spots(centres: NDArray[np.float64]) -> NDArray[np.float32]:
    """Pictures [count, SIZE, SIZE, 1] of spots at centres [count, spots, 2], of mean 0 and variance 1, about."""
    places = np.arange(SIZE)
    rows, columns = (np.exp(-((places - centres[..., axis, None]) ** 2) / 3) for axis in (0, 1))
    light = np.einsum("nsr,nsc->nrc", rows, columns)
    return (4 * light).astype(np.float32)[..., None] - 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="runs/moved_pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="write the numbers into docs/schemas.md")
    options = parser.parse_args()

    schema = Schema.from_file(HERE / "schema.yaml")
    splits = ExampleSplits(train=make_examples(6000, seed=1), val=make_examples(500, seed=2))
    recipe = Recipe(
        name="moved pictures",
        model=schema.config(),
        task=schema.task(),
        optim=OptimConfig(learning_rate=2e-3, warmup_steps=100, weight_decay=0.01, ema_decay=0.99),
        run=RunConfig(
            out=options.out, seed=options.seed, epochs=options.epochs, threads=1, resume=False, checkpoint_every=10_000
        ),
    )
    started, busy = time.monotonic(), time.process_time()
    result = train(recipe, splits)
    minutes, busy_minutes = (time.monotonic() - started) / 60, (time.process_time() - busy) / 60

    model = anybyte.Perceiver.from_pretrained(result.folder)
    test = measure(model, Declared(model.config, schema.task()), make_examples(2000, seed=3))
    numbers = {name: round(value, 4) for name, value in test.items()}
    numbers |= {"parameters": sum(p.numel() for p in model.parameters()), "seed": options.seed}
    numbers |= {"minutes": round(minutes, 2), "processor_minutes": round(busy_minutes, 2)}
    print(json.dumps(numbers, indent=2))
    if options.write:
        write(numbers)


def write(numbers: dict[str, float]) -> None:
    """Puts the numbers between the two marks of the page."""
    line = (
        f"On 2,000 held-out examples (seed {numbers['seed']}, {numbers['parameters']:,} parameters, one thread, "
        f"{numbers['processor_minutes']:.1f} minutes of processor time):\n"
        f"the class is right for {numbers['motion_accuracy']:.1%} (chance: 12.5%), and the rebuilt picture explains "
        f"{numbers['rebuilt_r2']:.1%} of the\nvariance of the second ({numbers['rebuilt_psnr']:.1f} dB, mean absolute "
        f"error {numbers['rebuilt_mae']:.3f})."
    )
    marked = r"(<!-- numbers: .*? -->\n).*?(\n<!-- end -->)"
    page = re.sub(marked, lambda match: match[1] + line + match[2], PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
