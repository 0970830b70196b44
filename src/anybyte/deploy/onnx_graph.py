"""A ByteFormer as an ONNX graph, written node by node: the padded form (`padded.py`) in standard operators.

Written by hand and not traced: a trace of sizes that depend on lengths takes a minute and leaves hundreds of nodes that
only work out shapes, while this takes a moment, needs no tracer, and can do what shapes in Python cannot. A window
here is never wider than the batch needs: short files do not pay for the attention of long ones.

    tokens int32 [batch, length], lengths int32 [batch] -> logits float32 [batch, classes]
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from anybyte.batch import PADDING, VOCABULARY
from anybyte.deploy.padded import PLACES_AT_ONCE, UNSEEN, StemForm
from anybyte.models.attention import Block
from anybyte.models.byteformer import ByteFormer
from anybyte.models.positions import LearnedPositions, SinusoidalPositions

try:
    import onnx
    from onnx import helper, numpy_helper
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("ONNX files need onnx and onnxruntime: pip install 'anybyte[export]'") from error

OPSET = 18
"""Old enough for every onnxruntime-web that is about."""
IR_VERSION = 9


def byteformer_graph(model: ByteFormer, stem: StemForm = "table") -> Any:
    """The model as an `onnx.ModelProto`, checked: inputs `tokens` and `lengths`, output `logits`.

    Args:
        model: whose `numerics` are "anybyte".
        stem: as for `PaddedByteFormer`.
    """
    writer = _Writer()
    net = _Net(writer, model)
    x = net.stem(stem)
    if model.positions is not None:
        x = writer.add("Add", x, net.positions(model.positions))
    for index, (block, (window, shift)) in enumerate(zip(model.blocks, model.windows, strict=True)):
        assert isinstance(block, Block)
        x = net.block(block, x, window, shift % window)
        if str(index) in model.merges:
            x = net.merge(model.merges[str(index)], x)
    net.logits(x)
    return writer.finish(model.config.num_classes)


class _Writer:
    """Nodes and constants of a graph, named as they come."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def add(self, op: str, *inputs: str, outputs: int = 1, name: str | None = None, **attributes: Any) -> Any:
        """The name of a node's output; of several, their names."""
        number = len(self.nodes)
        names = (
            [name or f"{op.lower()}_{number}"]
            if outputs == 1
            else [f"{op.lower()}_{number}_{i}" for i in range(outputs)]
        )
        self.nodes.append(helper.make_node(op, inputs, names, name=f"{op}_{number}", **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: NDArray[Any] | Tensor, name: str | None = None) -> str:
        array = value.detach().cpu().float().numpy() if isinstance(value, Tensor) else value
        name = name or f"constant_{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    @functools.cache  # noqa: B019  a writer lives for one graph
    def ints(self, *values: int) -> str:
        """An int64 vector."""
        return self.constant(np.array(values, dtype=np.int64))

    @functools.cache  # noqa: B019
    def number(self, value: int) -> str:
        """An int64 scalar."""
        return self.constant(np.array(value, dtype=np.int64))

    @functools.cache  # noqa: B019
    def floating(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))

    def vector(self, *scalars: str) -> str:
        """Scalars as a vector, for shapes and pads."""
        parts = [self.add("Reshape", scalar, self.ints(1)) for scalar in scalars]
        return str(self.add("Concat", *parts, axis=0))

    def linear(self, layer: nn.Linear, x: str, name: str, scale: NDArray[np.float32] | None = None) -> str:
        """A linear layer, its outputs multiplied by `scale`."""
        weight = layer.weight.detach().cpu().float().numpy().T
        bias = None if layer.bias is None else layer.bias.detach().cpu().float().numpy()
        if scale is not None:
            weight, bias = weight * scale, None if bias is None else bias * scale
        x = self.add("MatMul", x, self.constant(weight, f"{name}.weight"))
        return x if bias is None else str(self.add("Add", x, self.constant(bias, f"{name}.bias")))

    def norm(self, layer: nn.LayerNorm, x: str) -> str:
        weights = self.constant(layer.weight), self.constant(layer.bias)
        return str(self.add("LayerNormalization", x, *weights, axis=-1, epsilon=layer.eps))

    def ceil_div(self, number: str, by: int) -> str:
        """ceil(number / by) of integers that are not negative."""
        return str(self.add("Div", self.add("Add", number, self.number(by - 1)), self.number(by)))

    def finish(self, num_classes: int) -> Any:
        info, types = helper.make_tensor_value_info, onnx.TensorProto
        graph = helper.make_graph(
            self.nodes,
            "ByteFormer",
            [info("tokens", types.INT32, ["batch", "length"]), info("lengths", types.INT32, ["batch"])],
            [info("logits", types.FLOAT, ["batch", num_classes])],
            list(self.constants.values()),
        )
        made = helper.make_model(
            graph, producer_name="anybyte", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(made, full_check=True)
        return made


class _Net:
    """The layers, and what stands for the tokens' number between them.

    `slots` is the number of tokens of the longest row, an int64 scalar of the graph; `counts`, int64 [batch, 1], holds
    those of each file. Both halve with each merge.
    """

    def __init__(self, writer: _Writer, model: ByteFormer) -> None:
        self.w, self.model = writer, model
        add = writer.add
        self.longest = add("Gather", add("Shape", "tokens"), writer.number(1), axis=0)
        self.lengths = add("Cast", add("Unsqueeze", "lengths", writer.ints(1)), to=onnx.TensorProto.INT64)
        self._new_counts(self._num_tokens(self.longest), self._num_tokens(self.lengths))

    def _new_counts(self, slots: str, counts: str) -> None:
        self.slots, self.counts = slots, counts
        self._plans: dict[tuple[int, int], dict[str, str]] = {}
        self._tokens: str | None = None

    def _num_tokens(self, lengths: str) -> str:
        """As `Stem.num_tokens`."""
        w, stem = self.w, self.model.stem
        beyond = w.add("Max", w.add("Sub", lengths, w.number(stem.kernel_size)), w.number(0))
        return str(w.add("Add", w.ceil_div(beyond, stem.stride), w.number(1)))

    def stem(self, form: StemForm) -> str:
        """Tokens [batch, slots, dim] of the bytes."""
        w, stem = self.w, self.model.stem
        is_byte = w.add("Less", w.add("Range", w.number(0), self.longest, w.number(1)), self.lengths)
        padding = w.constant(np.array(PADDING, dtype=np.int32))
        read = w.add("Where", is_byte, "tokens", padding)
        room = w.add("Mul", w.add("Add", self.slots, w.number(1)), w.number(stem.stride))
        pads = w.vector(w.number(0), w.number(0), w.number(0), w.add("Sub", room, self.longest))
        halves = w.add("Reshape", w.add("Pad", read, pads, padding), w.ints(0, -1, stem.stride))
        first = w.add("Slice", halves, w.ints(0), w.ints(-1), w.ints(1))
        second = w.add("Slice", halves, w.ints(1), w.ints(2**62), w.ints(1))
        read = w.add("Concat", first, second, axis=2)
        return self._by_table(read) if form == "table" else self._by_convolution(read)

    def _by_table(self, read: str) -> str:
        """A sum of table rows, a few places of the kernel at a time."""
        w, size = self.w, self.model.stem.kernel_size
        table = w.constant(self.model.stem.table(), "stem.table")
        total = None
        for first in range(0, size, PLACES_AT_ONCE):
            end = min(first + PLACES_AT_ONCE, size)
            places = w.add("Slice", read, w.ints(first), w.ints(end), w.ints(2))
            steps = w.constant(np.arange(first, end, dtype=np.int32) * np.int32(VOCABULARY))
            rows = w.add("Gather", table, w.add("Add", places, steps), axis=0)
            part = w.add("ReduceSum", rows, w.ints(2), keepdims=0)
            total = part if total is None else w.add("Add", total, part)
        return str(total)

    def _by_convolution(self, read: str) -> str:
        w, stem = self.w, self.model.stem
        embedding = stem.embedding.detach().clone()
        embedding[PADDING] = 0
        embedded = w.add("Gather", w.constant(embedding, "stem.embedding"), read, axis=0)
        flat = w.add("Reshape", embedded, w.ints(0, 0, stem.kernel_size * stem.dim))
        kernel = stem.kernel.detach().permute(2, 1, 0).flatten(0, 1)
        return str(w.add("MatMul", flat, w.constant(kernel, "stem.kernel")))

    def positions(self, positions: LearnedPositions | SinusoidalPositions) -> str:
        """Rows [slots, dim]. Sinusoids are computed in float64: a long file has tens of thousands of tokens."""
        w, dim = self.w, self.model.config.dim
        if isinstance(positions, LearnedPositions):
            rows = w.constant(positions.rows, "positions.rows")
            return str(w.add("Slice", rows, w.ints(0), w.vector(self.slots), w.ints(0)))
        half = dim // 2
        frequencies = np.tile(10_000 ** (-np.arange(half) / max(half - 1, 1)), 2)
        phases = np.repeat([0.0, math.pi / 2], half)  # a cosine is a sine a quarter of a turn later
        places = w.add("Cast", w.add("Range", w.number(0), self.slots, w.number(1)), to=onnx.TensorProto.DOUBLE)
        angles = w.add("Mul", w.add("Unsqueeze", places, w.ints(1)), w.constant(frequencies))
        sines = w.add("Sin", w.add("Add", angles, w.constant(phases)))
        return str(w.add("Mul", w.add("Cast", sines, to=onnx.TensorProto.FLOAT), w.floating(positions.scale)))

    def block(self, block: Block, x: str, window: int, shift: int) -> str:
        """As `padded.run_block`."""
        w, heads = self.w, block.attention.num_heads
        dim = self.model.config.dim
        width = dim // heads
        scale = np.repeat(np.array([width**-0.5, 1, 1], dtype=np.float32), dim)  # of scores, on the queries
        name = f"blocks.{sum(node.op_type == 'Softmax' for node in w.nodes)}"
        plan = self._plan(window, shift)
        qkv = w.linear(block.attention.qkv, w.norm(block.norm1, x), f"{name}.qkv", scale)
        parts = w.add("Split", w.add("Pad", qkv, plan["pads"]), outputs=3, axis=2, num_outputs=3)
        by_head = w.add("Concat", w.ints(0, -1), plan["window"], w.ints(heads, width), axis=0)
        orders = ([0, 1, 3, 2, 4], [0, 1, 3, 4, 2], [0, 1, 3, 2, 4])  # keys stand across
        q, k, v = (
            w.add("Transpose", w.add("Reshape", part, by_head), perm=order)
            for part, order in zip(parts, orders, strict=True)
        )
        scores = w.add("Add", w.add("MatMul", q, k), plan["unseen"])
        found = w.add("Transpose", w.add("MatMul", w.add("Softmax", scores, axis=-1), v), perm=[0, 1, 3, 2, 4])
        found = w.add("Slice", w.add("Reshape", found, w.ints(0, -1, dim)), plan["lead"], plan["end"], w.ints(1))
        x = w.add("Add", x, w.linear(block.attention.out, found, f"{name}.out"))
        hidden = w.linear(block.mlp.fc1, w.norm(block.norm2, x), f"{name}.fc1")
        return str(w.add("Add", x, w.linear(block.mlp.fc2, self._gelu(hidden), f"{name}.fc2")))

    def _gelu(self, x: str) -> str:
        w = self.w
        erf = w.add("Erf", w.add("Div", x, w.floating(math.sqrt(2))))
        return str(w.add("Mul", w.add("Mul", x, w.add("Add", erf, w.floating(1))), w.floating(0.5)))

    def _plan(self, window: int, shift: int) -> dict[str, str]:
        """Where slots go in windows of one size, and what their keys may not see; made once for equal blocks.

        The first window holds `shift` tokens, or `window` without a shift. No window is wider than the widest that the
        batch fills, and `lead` empty places before the first token make the windows equal.
        """
        if (window, shift) in self._plans:
            return self._plans[window, shift]
        w, slots = self.w, self.slots
        if shift:
            head = w.add("Min", w.number(shift), slots)
            wide = w.add("Max", head, w.add("Min", w.number(window), w.add("Sub", slots, w.number(shift))))
            lead = w.add("Sub", wide, head)
        else:
            wide, lead = w.add("Min", w.number(window), slots), w.number(0)
        taken = w.add("Add", lead, slots)
        rounded = w.add("Sub", w.add("Add", taken, wide), w.number(1))
        room = w.add("Mul", w.add("Div", rounded, wide), wide)
        place = w.add("Range", w.add("Neg", lead), w.add("Sub", room, lead), w.number(1))
        is_token = w.add("And", w.add("GreaterOrEqual", place, w.number(0)), w.add("Less", place, self.counts))
        unseen = w.add("Where", is_token, w.floating(0.0), w.floating(UNSEEN))
        wide = w.vector(wide)
        by_window = w.add("Concat", w.ints(0, -1, 1, 1), wide, axis=0)
        zero = w.number(0)
        plan = {
            "window": wide,
            "lead": w.vector(lead),
            "end": w.vector(taken),
            "pads": w.vector(zero, lead, zero, zero, w.add("Sub", room, taken), zero),
            "unseen": w.add("Reshape", unseen, by_window),
        }
        self._plans[window, shift] = plan
        return plan

    def _zero_behind(self, x: str) -> str:
        """x with zeros behind the last token of each file."""
        w = self.w
        if self._tokens is None:
            is_token = w.add("Less", w.add("Range", w.number(0), self.slots, w.number(1)), self.counts)
            self._tokens = w.add("Unsqueeze", w.add("Cast", is_token, to=onnx.TensorProto.FLOAT), w.ints(2))
        return str(w.add("Mul", x, self._tokens))

    def merge(self, merge: nn.Module, x: str) -> str:
        """Pairs of tokens as one, the last of an odd number with zeros."""
        w, dim = self.w, self.model.config.dim
        x = self._zero_behind(x)
        zero = w.number(0)
        odd = w.add("Mod", self.slots, w.number(2))
        x = w.add("Pad", x, w.vector(zero, zero, zero, zero, odd, zero))
        pairs = w.add("Reshape", x, w.ints(0, -1, 2 * dim))
        self._new_counts(w.ceil_div(self.slots, 2), w.ceil_div(self.counts, 2))
        return w.norm(merge.norm, w.linear(merge.reduction, pairs, f"merge_{len(w.nodes)}"))  # type: ignore[arg-type]

    def logits(self, x: str) -> None:
        """The classifier's answer to the mean of each file's tokens."""
        w, classifier = self.w, self.model.classifier
        total = w.add("ReduceSum", self._zero_behind(w.norm(self.model.norm, x)), w.ints(1), keepdims=0)
        mean = w.add("Div", total, w.add("Cast", self.counts, to=onnx.TensorProto.FLOAT))
        weight = w.constant(classifier.weight.detach().T, "classifier.weight")
        w.add("Add", w.add("MatMul", mean, weight), w.constant(classifier.bias, "classifier.bias"), name="logits")
