"""Measure each lever of ByteFormer's speed on its own: with it and without, in turns, in one process.

    OMP_NUM_THREADS=1 python scripts/levers.py             # all; the table in docs/speed.md, docs/results/levers.json
    OMP_NUM_THREADS=1 python scripts/levers.py attention   # those whose name holds a word; the others stay

One thread, processor time of that thread, medians. Sizes are those of the tiny model on a TIFF of 150,668 bytes: 1,024
tokens of 192 channels at a time, windows of 128 tokens, three heads. Ratios above 1 are in favour of the lever.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from finished_runs import markdown_table
from torch import Tensor
from torch.nn import functional as F

from anybyte.models import inference, quantize, windows
from anybyte.models.attention import Block, attend_holding_scores
from anybyte.models.byteformer import ByteFormer
from anybyte.models.stem import Stem
from anybyte.models.zoo import create_model
from anybyte.train.checkpoint import write_atomically

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import measure  # noqa: E402

BEGIN, END = "<!-- levers: written by scripts/levers.py -->", "<!-- end of levers -->"
TOKENS, DIM, WINDOW, HEADS = 1024, 192, 128, 3
Call = Callable[[], object]


@dataclass(frozen=True)
class Lever:
    """A way to be faster.

    Attributes:
        what: with it, against without it.
        kept: where it is; "no" and why otherwise.
        prepare: gives the calls (with, without).
        rounds: how often both are timed.
    """

    what: str
    kept: str
    prepare: Callable[[], tuple[Call, Call]]
    rounds: int = 15


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints, and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="measure the levers whose names hold one of these")
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "results" / "levers.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "speed.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    names = [name for name in LEVERS if not options.words or any(word in name for word in options.words)]
    document = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {"levers": {}}
    for name in names:
        document["levers"][name] = measured(LEVERS[name])
        print(f"{name:28s} {document['levers'][name]['ratio']:6.2f}   kept: {LEVERS[name].kept}", flush=True)
    document["environment"] = measure.environment()
    document["levers"] = {name: document["levers"][name] for name in LEVERS if name in document["levers"]}
    write_atomically(options.json, (json.dumps(document, indent=2) + "\n").encode())
    text = options.page.read_text(encoding="utf-8")
    write_atomically(options.page, with_table(text, table(document)).encode())


def measured(lever: Lever) -> dict[str, Any]:
    """Milliseconds with and without, and the ratio of the medians."""
    calls = lever.prepare()
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(lever.rounds + 1):
        for call, times in zip(calls, seconds, strict=True):
            gc.collect()
            start = time.thread_time()
            call()
            elapsed = time.thread_time() - start
            if number:
                times.append(elapsed)
    with_it, without = (1000 * statistics.median(times) for times in seconds)
    return {"with_ms": round(with_it, 4), "without_ms": round(without, 4), "ratio": round(without / with_it, 3)}


def table(document: dict[str, Any]) -> str:
    """All levers as Markdown."""
    rows = [
        [
            name,
            LEVERS[name].what,
            f"{result['without_ms']:.3g} → {result['with_ms']:.3g}",
            f"{result['ratio']:.2f}",
            LEVERS[name].kept,
        ]
        for name, result in document["levers"].items()
    ]
    machine = document["environment"]
    made = f"{machine['processor']}, one thread, load {machine['load_average']:.0f}, torch {machine['torch']}"
    return f"{markdown_table(['lever', 'what', 'ms', 'ratio', 'kept'], rows)}\n\n{made}. `python scripts/levers.py`"


def with_table(text: str, rows: str, begin: str = BEGIN, end: str = END) -> str:
    """A page whose table between two lines is this one.

    Raises:
        ValueError: it has no place for one.
    """
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no lines {begin} and {end} to put the table between")
    return f"{before}{begin}\n\n{rows}\n\n{end}{after}"


def _tiny(kernel_size: int = 32) -> ByteFormer:
    torch.manual_seed(0)
    model = create_model("byteformer_tiny", kernel_size=kernel_size).eval().requires_grad_(False)
    assert isinstance(model, ByteFormer)
    return model


def _answers(model: ByteFormer, sizes: list[int], bf16: bool = False) -> Call:
    batch = measure.random_batch(sizes)

    def call() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits: Tensor = model(batch)
            return logits

    return call


@contextmanager
def _setting(module: object, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _with_setting(call: Call, module: object, name: str, value: object) -> tuple[Call, Call]:
    """The call as it is, and with a constant of a module changed."""

    def changed() -> object:
        with _setting(module, name, value):
            return call()

    return call, changed


def _tensor(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def _stem_form(dtype: torch.dtype) -> tuple[Call, Call]:
    torch.manual_seed(0)
    stem = Stem(DIM, 32)
    indices = torch.randint(0, 256, (9416, 32), dtype=torch.int32)
    with torch.no_grad():
        table = stem.table()
        other = table.to(dtype)
    steps = torch.arange(32, dtype=torch.int32) * 257
    lookup = lambda table: F.embedding_bag(indices + steps, table, mode="sum")  # noqa: E731
    if dtype == torch.float32:
        return lambda: lookup(table), torch.no_grad()(lambda: stem.tokens_by_convolution(indices))
    return lambda: lookup(other), lambda: lookup(table)


def _stem_gradient() -> tuple[Call, Call]:
    torch.manual_seed(0)
    indices = torch.randint(0, 256, (32_040, 16), dtype=torch.int32)
    stem, grad = Stem(DIM, 16), _tensor(32_040, DIM)
    steps = torch.arange(16, dtype=torch.int32) * 257
    table = stem.table().detach().requires_grad_()
    ours = stem.tokens_by_table(indices, table)
    theirs = F.embedding_bag(indices + steps, table, mode="sum")
    return (
        lambda: torch.autograd.grad(ours, table, grad, retain_graph=True),
        lambda: torch.autograd.grad(theirs, table, grad, retain_graph=True),
    )


def _histogram() -> tuple[Call, Call]:
    """The gradient of the table as products with one-hot matrices of the bytes."""
    kept, _ = _stem_gradient()
    indices = torch.randint(0, 256, (32_040, 16))
    grad = _tensor(32_040, DIM)

    def histogram() -> None:
        for place in indices.T:
            torch.zeros(len(place), 257).scatter_(1, place[:, None], 1.0).T @ grad

    return histogram, kept


def _heads(dtype: torch.dtype, grad: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    qkv = _tensor(TOKENS, 3 * DIM, dtype=dtype).requires_grad_(grad)
    return qkv.view(-1, WINDOW, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4).unbind(0)  # type: ignore[return-value]


def _attention(dtype: torch.dtype) -> tuple[Call, Call]:
    q, k, v = _heads(dtype)
    return lambda: attend_holding_scores(q, k, v), lambda: F.scaled_dot_product_attention(q, k, v)


def _attention_gradient(dtype: torch.dtype) -> tuple[Call, Call]:
    grad = _tensor(TOKENS // WINDOW, HEADS, WINDOW, DIM // HEADS, dtype=dtype)

    def products() -> None:
        attend_holding_scores(*_heads(dtype, True)).backward(grad)

    def own() -> None:
        F.scaled_dot_product_attention(*(x.float() for x in _heads(dtype, True))).backward(grad.float())

    return products, own


def _head_by_head() -> tuple[Call, Call]:
    q, k, v = _heads(torch.bfloat16)

    def views() -> None:
        for head in range(HEADS):
            scores = torch.baddbmm(q.new_zeros(()), q[:, head], k[:, head].mT, beta=0, alpha=0.125)
            torch.bmm(scores.softmax(dim=-1), v[:, head])

    return views, lambda: attend_holding_scores(q, k, v)


def _product(dtype: torch.dtype, gelu: str | None = "none") -> tuple[Call, Call]:
    block = _tiny().blocks[0]
    assert isinstance(block, Block)
    x, fc1 = _tensor(TOKENS, DIM, dtype=dtype), block.mlp.fc1
    ready = inference.Product(fc1, dtype)
    weight, bias = fc1.weight.to(dtype), fc1.bias.to(dtype)
    if gelu is None:
        return lambda: ready(x), lambda: F.linear(x, weight, bias)
    if gelu == "tanh":
        return lambda: ready.with_gelu(x, "tanh"), lambda: ready.with_gelu(x, "none")
    return lambda: ready.with_gelu(x, "none"), lambda: F.gelu(F.linear(x, weight, bias))


def _laid_out() -> tuple[Call, Call]:
    weight, bias, x = _tensor(4 * DIM, DIM), _tensor(4 * DIM), _tensor(TOKENS, DIM)

    def run(lay_out: bool) -> Call:
        def call() -> None:
            ready = torch.ops.mkldnn._reorder_linear_weight(weight, TOKENS) if lay_out else weight
            for _ in range(9):
                torch.ops.mkldnn._linear_pointwise(x, ready, bias, "none", [], "")

        return call

    return run(True), run(False)


def _integers() -> tuple[Call, Call]:
    model = _tiny()
    return _answers(quantize.quantized(model), [150_668], bf16=True), _answers(model, [150_668], bf16=True)


def _to_unsigned() -> tuple[Call, Call]:
    x = _tensor(TOKENS, DIM).mul(30)
    return (
        lambda: x.clamp(-127, 127).round_().to(torch.int8).view(torch.uint8).bitwise_xor_(128),
        lambda: x.add(128).clamp_(1, 255).round_().to(torch.uint8),
    )


def _signed_products() -> tuple[Call, Call]:
    """Few rows: this takes a thousand times as long as it should."""
    layer = quantize._IntegerProduct(_tensor(DIM, DIM), None)
    unsigned = torch.randint(0, 256, (64, DIM), dtype=torch.uint8)
    signed = unsigned.view(torch.int8)
    return (
        lambda: layer(signed, quantize._Steps(0.1, 0)),  # type: ignore[arg-type]
        lambda: layer(unsigned, quantize._Steps(0.1, 128)),
    )


def _windows_in_place() -> tuple[Call, Call]:
    """To the windows and back, with gradients, as in a training step of 8 sounds."""
    lengths = windows.cut_windows(np.array([4005] * 8), WINDOW, WINDOW // 2)
    grad = _tensor(8 * 4005, 3 * DIM)

    def run(plan: windows.WindowPlan) -> Call:
        def call() -> None:
            x = grad.detach().requires_grad_()
            slots = windows.to_windows(x, plan).split([count * length for count, length in plan.runs])
            windows.from_windows(torch.cat(slots), plan).backward(grad)

        return call

    cpu = torch.device("cpu")
    return run(windows.plan_windows(lengths, WINDOW, cpu)), run(_gathering(lengths, WINDOW, cpu))


def _gathering(lengths: windows.Lengths, window: int, device: torch.device) -> windows.WindowPlan:
    """A plan that brings windows together."""
    with _setting(windows, "_TOKENS_A_RUN", 10**9), _setting(windows, "_FEW_RUNS", 0):
        return windows.plan_windows(lengths, window, device)


def _group() -> tuple[Call, Call]:
    return _with_setting(_answers(_tiny(8), [48_564] * 8), inference, "TOKENS_TOGETHER", 10**9)


def _pieces(bf16: bool) -> tuple[Call, Call]:
    return _with_setting(_answers(_tiny(), [150_668], bf16), inference, "TOKENS_AT_ONCE", 10**9)


def _all_together(bf16: bool) -> tuple[Call, Call]:
    """Everything that holds without gradients, against the modules themselves on all tokens at once."""
    return _with_setting(_answers(_tiny(), [150_668], bf16), inference, "ready", lambda part, x: None)


def _compiled() -> tuple[Call, Call]:
    block = _tiny().blocks[0]
    assert isinstance(block, Block)
    plan, x = windows.WindowPlan(((TOKENS // WINDOW, WINDOW),)), _tensor(TOKENS, DIM)
    compiled = torch.compile(block, dynamic=True)
    ready = inference.FloatBlock(block, torch.float32)
    out = torch.empty_like(x)
    return torch.inference_mode()(lambda: compiled(x, plan)), torch.inference_mode()(lambda: ready(x, plan, out))


F32, BF16 = torch.float32, torch.bfloat16
LEVERS = {
    "stem as a table": Lever("sums of rows, not embedding and convolution", "yes", lambda: _stem_form(F32), 5),
    "stem's table in bfloat16": Lever("against float32", "with bf16 and int8", lambda: _stem_form(BF16)),
    "stem's gradient by places": Lever("against that of `embedding_bag`", "yes", _stem_gradient, 5),
    "stem's gradient as histogram": Lever("products with one-hot matrices, not by places", "no", _histogram, 3),
    "oneDNN product": Lever("`_linear_pointwise`, not `F.linear`, float32", "yes", lambda: _product(F32, None)),
    "GELU in the product, fp32": Lever("while results are in registers, not after", "yes", lambda: _product(F32)),
    "GELU in the product, bf16": Lever("the same in bfloat16", "yes", lambda: _product(BF16)),
    "GELU by tanh": Lever("not erf, in the product, bfloat16", "no", lambda: _product(BF16, "tanh")),
    "weights laid out": Lever("as oneDNN wants them, once for nine pieces", "no", _laid_out),
    "bf16 attention by products": Lever("scores in memory, not torch's own", "yes", lambda: _attention(BF16)),
    "fp32 attention by products": Lever("the same in float32", "no", lambda: _attention(F32)),
    "attention head by head": Lever("on views, without copies, bfloat16", "no", _head_by_head),
    "bf16 attention's gradient": Lever(
        "both ways by products, not torch's own in float32", "yes", lambda: _attention_gradient(BF16)
    ),
    "fp32 attention's gradient": Lever("the same in float32", "no", lambda: _attention_gradient(F32)),
    "windows where they lie": Lever("not gathered; there and back, with gradients", "yes", _windows_in_place, 5),
    "pieces of 2,048 tokens": Lever("not the whole file at once, float32", "yes", lambda: _pieces(False), 7),
    "pieces of 2,048 tokens, bf16": Lever("the same in bfloat16", "yes", lambda: _pieces(True), 7),
    "files in groups": Lever("of 32,768 tokens, not 8 JPEGs at once", "yes", _group, 3),
    "all of inference, fp32": Lever(
        "ready blocks in pieces, not modules on all tokens", "yes", lambda: _all_together(False), 5
    ),
    "all of inference, bf16": Lever("the same in bfloat16", "yes", lambda: _all_together(True), 5),
    "8-bit integers": Lever("a whole file, against bfloat16", '`precision="int8"`', _integers, 7),
    "to unsigned through signed": Lever("float32 -> int8 -> uint8, not -> uint8", "yes", _to_unsigned),
    "signed integer products": Lever(
        "both sides signed, 64 rows", "no: oneDNN has none without AMX", _signed_products, 2
    ),
    "compiled block": Lever("`torch.compile`, not the ready block, float32", "no (minutes to compile)", _compiled),
}


if __name__ == "__main__":
    main()
