"""Show what re-keying a model does, on real files: equal answers with the key, and chance without it.

    python scripts/rekey_check.py MODEL DATA --files 1000

MODEL is a model without a key (a folder, a run, a hub id), DATA whatever `anybyte evaluate --data` takes; the test part
is read, if there is one. A key is drawn for the occasion. Exit code 1: the logits are not equal bit for bit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

import anybyte
from anybyte.batch import ByteBatch
from anybyte.config import DataConfig
from anybyte.evaluate.packing import BATCH_BYTES, needs_equal_lengths, pack
from anybyte.files.sources import open_source, open_splits
from anybyte.models.rekey import rekey
from anybyte.privacy.permutation import Permutation


@dataclass(frozen=True)
class Found:
    """What the check measured.

    Attributes:
        files: read.
        bit_equal: of these, files whose logits are the same in every bit.
        plain, keyed, unpermuted, wrong_key: share of right answers of the plain model on plain files, of the re-keyed
            one on permuted files, on plain files, and on files permuted by another key.
        chance: share of right answers of the best guess that reads no file.
    """

    files: int
    bit_equal: int
    plain: float
    keyed: float
    unpermuted: float
    wrong_key: float
    chance: float


def check(
    predictor: anybyte.Predictor, files: Sequence[bytes], targets: Sequence[int], seed: int | None = None
) -> Found:
    """Answers of a model and of its re-keyed copy to the same files.

    Args:
        predictor: of the plain model.
        files: as the model reads them.
        targets: index of each file's class among the labels.
        seed: draws both keys; None: secret ones.
    """
    if seed is None:
        key, other = Permutation.secret(), Permutation.secret()
    else:
        key, other = Permutation.random(seed), Permutation.random(seed + 1)
    model, truth = predictor.model, torch.tensor(targets)
    changed = rekey(model, key)
    batches = list(pack([len(file) for file in files], BATCH_BYTES, needs_equal_lengths(model)))
    plain = _logits(model, files, batches)
    keyed = _logits(changed, [key.apply(file) for file in files], batches)
    unpermuted = _logits(changed, files, batches)
    wrong = _logits(changed, [other.apply(file) for file in files], batches)

    def accuracy(logits: torch.Tensor) -> float:
        return float((logits.argmax(dim=1) == truth).float().mean())

    bits = (plain.view(torch.int32) == keyed.view(torch.int32)).all(dim=1)
    return Found(
        files=len(files),
        bit_equal=int(bits.sum()),
        plain=accuracy(plain),
        keyed=accuracy(keyed),
        unpermuted=accuracy(unpermuted),
        wrong_key=accuracy(wrong),
        chance=float(truth.bincount().max() / len(truth)),
    )


def _logits(model: torch.nn.Module, files: Sequence[bytes], batches: Sequence[Sequence[int]]) -> torch.Tensor:
    """float32 [files, classes]."""
    rows: dict[int, torch.Tensor] = {}
    for batch in batches:
        with torch.inference_mode():
            logits = model(ByteBatch.from_bytes([files[index] for index in batch]).to(next(model.parameters()).device))
        rows.update(zip(batch, logits.float().cpu(), strict=True))
    return torch.stack([rows[index] for index in range(len(files))])


def main(args: list[str] | None = None) -> int:
    """Prints what was found: 0, 1 if any logits differ, 2 after a line on what is wrong with the input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--files", type=int, default=1000, help="at most so many, drawn at random (1000)")
    parser.add_argument("--seed", type=int, default=0, help="draws the files (0); the keys are secret")
    parser.add_argument("--device", help="cpu, cuda, ... (a GPU if there is one)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args(args)
    try:
        predictor = anybyte.load(options.model, device=options.device)
        if predictor.reading.protection.fingerprint is not None:
            raise ValueError(f"{options.model} reads permuted bytes already: name the plain model")
        source = open_splits(DataConfig(path=options.data)).test
        source = source if source.entries else open_source(options.data)
        order = np.random.default_rng(options.seed).permutation(len(source.entries))[: options.files]
        entries = [source.entries[index] for index in order.tolist()]
        files = [
            predictor.reading(source.read(index), entry.name)
            for index, entry in zip(order.tolist(), entries, strict=True)
        ]
        found = check(predictor, files, [predictor.labels.index(source.classes[entry.label]) for entry in entries])
    except (OSError, ValueError) as error:
        print(f"rekey_check: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(vars(found)))
    else:
        print(f"logits equal in every bit    {found.bit_equal:,} of {found.files:,} files")
        print(f"accuracy, plain              {found.plain:.2%}")
        print(f"accuracy, re-keyed           {found.keyed:.2%}")
        print(f"accuracy, files not permuted {found.unpermuted:.2%}")
        print(f"accuracy, another key        {found.wrong_key:.2%}")
        print(f"accuracy, best blind guess   {found.chance:.2%}")
    return 0 if found.bit_equal == found.files else 1


if __name__ == "__main__":
    sys.exit(main())
