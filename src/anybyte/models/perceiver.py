"""Perceiver and Perceiver IO: any array in, any array out (Jaegle et al. 2021, 2022; arXiv 2103.03206, 2107.14795).

Notable here:
- every model of both papers is this one composition under another config: the original Perceiver reads its inputs
  before each block and averages its latents;
- an array is encoded once and decoded in pieces of any size, and attention never holds [queries x keys] of long arrays;
- where DeepMind's release and transformers differ, a field of the config says which; DeepMind's is the default.

    arrays -> Inputs -> tokens [B, M, C] -> encode: cross-attention into latents [B, N, D] -> process: blocks of
    self-attention, weights shared -> decode: queries [B, O, E] cross-attend to the latents -> values
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from anybyte.config import AverageOutputConfig, FlowInputConfig, FlowOutputConfig, PerceiverConfig
from anybyte.models.attention import AttentionLayer, Source
from anybyte.models.inputs import Grid, Inputs, TokenInput, check_mask
from anybyte.models.positions import LearnedPositions
from anybyte.models.pretrained import Pretrained
from anybyte.models.queries import AverageOutput, Output, QueriedConfig, Rows

Arrays = Tensor | Mapping[str, Tensor]
"""The array of a model with one input (or output), or one for each name."""

_LEARNED_STD = 0.02
"""Of latents, positions, queries, padding and mask tokens at the start."""
_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal truncated at two."""


@dataclass(frozen=True)
class Encoded:
    """What a Perceiver knows of its inputs: enough to decode any part of its outputs.

    Attributes:
        latents: [batch, num_latents, latent_dim].
        tokens: [batch, tokens, channels], the inputs as they were attended to.
        grids: the places of each input's tokens.
    """

    latents: Tensor
    tokens: Tensor
    grids: Mapping[str, Grid]


class Perceiver(Pretrained):
    """`model(arrays) -> outputs`: a tensor for a model with one input or output, a mapping for several."""

    config_class = PerceiverConfig

    def __init__(self, config: PerceiverConfig) -> None:
        super().__init__()
        _check(config)
        self.config = config
        self.inputs = Inputs(config.inputs, config.input_padding)
        channels, dim = self.inputs.num_channels, config.latent_dim
        self.latents = nn.Parameter(torch.empty(config.num_latents, dim))
        self.encoders = nn.ModuleList(
            AttentionLayer(dim, channels, config.encode, config.gelu, config.masked_rows)
            for _ in range(config.distinct_cross_attends)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                AttentionLayer(dim, None, config.process, config.gelu, config.masked_rows)
                for _ in range(config.num_layers)
            )
            for _ in range(config.distinct_blocks)
        )
        averaged = [output for output in config.outputs if isinstance(output, AverageOutputConfig)]
        queried = [output for output in config.outputs if not isinstance(output, AverageOutputConfig)]
        self.averages = nn.ModuleDict({output.name: AverageOutput(output, dim) for output in averaged})
        self.decoder = Decoder(config, queried, channels, self._embedding()) if queried else None
        self._initialise()

    def forward(
        self,
        arrays: Arrays,
        mask: Arrays | None = None,
        query_mask: Arrays | None = None,
        rows: Arrays | None = None,
        piece: int | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """The outputs, or the latents [batch, num_latents, latent_dim] of a model without any.

        Args:
            arrays: the inputs; of several, those left out count as masked.
            mask: 1 at tokens that may be attended, [batch, tokens] an input. None: all.
            query_mask, rows, piece: see `decode`.

        Raises:
            ValueError: something does not fit; the message names the input, and what would.
        """
        return self.decode(self.encode(arrays, mask), query_mask, rows, piece)

    def encode(self, arrays: Arrays, mask: Arrays | None = None) -> Encoded:
        """The inputs, read and processed: all of the work that does not grow with the outputs."""
        names = list(self.inputs.parts)
        tokens, keep, grids = self.inputs(
            _by_name(arrays, names, "input"), _by_name(mask, names, "input"), self.latents.dtype
        )
        x = self.latents.expand(len(tokens), -1, -1)
        for index in range(self.config.num_blocks):
            if index < self.config.num_cross_attends:
                encoder = self.encoders[min(index, len(self.encoders) - 1)]
                x = self._run(_read_and_attend, encoder, x, tokens, keep)
            block = self.blocks[min(index, len(self.blocks) - 1)]
            assert isinstance(block, nn.ModuleList)
            for layer in block:
                x = self._run(layer, x)
        return Encoded(x, tokens, grids)

    def decode(
        self,
        encoded: Encoded,
        query_mask: Arrays | None = None,
        rows: Arrays | None = None,
        piece: int | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """The outputs, whole or in part.

        Args:
            encoded: what `encode` returned.
            query_mask: 1 at queries that may attend, [batch, queries] an output; counts the queries of `rows` if given.
            rows: which queries of an output to answer, as row-major indices [rows] or [batch, rows]; the answer is
                [batch, rows, channels]. None, and outputs not named: all.
            piece: queries decoded at once, at most. None: all of an output.
        """
        if piece is not None and piece < 1:
            raise ValueError(f"piece must be at least 1, got {piece}")
        if not self.config.outputs:
            return encoded.latents
        names = [output.name for output in self.config.outputs]
        masks, wanted = _by_name(query_mask, names, "output"), _by_name(rows, names, "output")
        source = None if self.decoder is None else self.decoder.layer.read(encoded.latents)
        answers = {}
        for name in names:
            if name in self.averages:
                answers[name] = self.averages[name](encoded.latents)
            else:
                assert source is not None
                answers[name] = self._decode_one(name, source, encoded, masks.get(name), wanted.get(name), piece)
        return answers if len(answers) > 1 else answers[names[0]]

    def _decode_one(
        self,
        name: str,
        source: Source,
        encoded: Encoded,
        mask: Tensor | None,
        wanted: Tensor | None,
        piece: int | None,
    ) -> Tensor:
        assert self.decoder is not None
        output = self.decoder.output(name)
        total = output.num_queries(encoded.tokens)
        count = total
        if wanted is not None:
            _check_rows(name, wanted, len(encoded.tokens), total)
            count = wanted.shape[-1]
        if mask is not None:
            mask = check_mask(
                f"the query mask of output {name!r}", mask, encoded.tokens.new_empty(len(encoded.tokens), count)
            )
        parts = []
        for part in _pieces(count, piece):
            chosen: Rows = part if wanted is None else wanted[..., part]
            kept = None if mask is None else mask[:, part]
            parts.append(self._run(self.decoder, name, chosen, source, encoded.tokens, kept, self._embedding()))
        values = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        grid = next(iter(encoded.grids.values()))
        return output.arrange(values, grid, wanted is None)

    def _run(self, function: object, *args: object) -> Tensor:
        """A step of the model; under activation checkpointing it is computed again when its gradient is due."""
        if self.config.activation_checkpointing and torch.is_grad_enabled():
            out: Tensor = checkpoint(function, *args, use_reentrant=False)
        else:
            out = function(*args)  # type: ignore[operator]
        return out

    def _embedding(self) -> nn.Embedding | None:
        """Of the token input, if there is one."""
        return next((part.embedding for part in self.inputs.parts.values() if isinstance(part, TokenInput)), None)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Of DeepMind's release."""
        in_layers = {m for layer in self.modules() if isinstance(layer, AttentionLayer) for m in layer.modules()}
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                std = module.weight[0].numel() ** -0.5
                _truncated(module.weight, std / _TRUNCATED_STD if module in in_layers else std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                _truncated(module.weight, 1.0)
            elif isinstance(module, LearnedPositions):
                _truncated(module.rows, _LEARNED_STD)
            elif isinstance(module, nn.ParameterDict):
                for parameter in module.values():
                    _truncated(parameter, _LEARNED_STD)
            elif isinstance(module, Output) and module.bias is not None:
                nn.init.zeros_(module.bias)
        _truncated(self.latents, _LEARNED_STD)
        for module in self.modules():
            is_flow = isinstance(module, Output) and isinstance(module.config, FlowOutputConfig)
            if is_flow or isinstance(module, AverageOutput):
                assert isinstance(module.projection, nn.Linear)
                nn.init.zeros_(module.projection.weight)


class Decoder(nn.Module):
    """Queries cross-attend to the latents; one layer for all outputs."""

    def __init__(
        self,
        config: PerceiverConfig,
        outputs: list[QueriedConfig],
        token_channels: int,
        embedding: nn.Embedding | None,
    ) -> None:
        super().__init__()
        parts = {output.name: Output(output, token_channels, embedding) for output in outputs}
        width = max(part.num_channels for part in parts.values())
        self.padding = nn.ParameterDict()
        if len(parts) > 1:
            width += config.query_padding
            for name, part in parts.items():
                self.padding[name] = nn.Parameter(torch.empty(1, width - part.num_channels))
        self.layer = AttentionLayer(width, config.latent_dim, config.decode, config.gelu, config.masked_rows)
        self.projection = None if config.decoder_channels is None else nn.Linear(width, config.decoder_channels)
        for part in parts.values():
            part.project_from(width if config.decoder_channels is None else config.decoder_channels)
        self.outputs = nn.ModuleDict(parts)

    def output(self, name: str) -> Output:
        output = self.outputs[name]
        assert isinstance(output, Output)
        return output

    def forward(
        self,
        name: str,
        rows: Rows,
        source: Source,
        tokens: Float[Tensor, "batch tokens channels"],
        keep: Tensor | None,
        embedding: nn.Embedding | None,
    ) -> Float[Tensor, "batch rows values"]:
        """The values of some queries of one output."""
        output = self.output(name)
        queries = output.queries(rows, tokens)
        if name in self.padding:
            queries = torch.cat([queries, self.padding[name].expand(*queries.shape[:2], -1)], dim=-1)
        decoded = self.layer(queries, source, None, keep)
        if self.projection is not None:
            decoded = self.projection(decoded)
        return output.values(decoded, embedding)


def _read_and_attend(layer: AttentionLayer, x: Tensor, tokens: Tensor, keep: Tensor | None) -> Tensor:
    out: Tensor = layer(x, layer.read(tokens), keep)
    return out


def _truncated(tensor: Tensor, std: float) -> None:
    nn.init.trunc_normal_(tensor, std=std, a=-2 * std, b=2 * std)


def _pieces(count: int, piece: int | None) -> Iterator[slice]:
    step = max(1, count if piece is None else piece)
    for start in range(0, max(count, 1), step):
        yield slice(start, min(start + step, count))


def _by_name(arrays: Arrays | None, names: list[str], what: str) -> Mapping[str, Tensor]:
    """One tensor for each name; a bare one belongs to the only name there is."""
    if arrays is None:
        return {}
    if not isinstance(arrays, Tensor):
        unknown = [name for name in arrays if name not in names]
        if unknown:
            raise ValueError(f"there is no {what} {unknown[0]!r}; the model has {', '.join(map(repr, names))}")
        return arrays
    if len(names) != 1:
        raise ValueError(f"expected a mapping with a tensor for each {what}: {', '.join(map(repr, names))}")
    return {names[0]: arrays}


def _check_rows(name: str, rows: Tensor, batch: int, total: int) -> None:
    fits = rows.dim() == 1 or (rows.dim() == 2 and len(rows) == batch)
    if not fits or rows.dtype != torch.int64:
        raise ValueError(
            f"rows of output {name!r} must be int64 [rows] or [{batch}, rows], "
            f"got {rows.dtype} of shape {tuple(rows.shape)}"
        )
    # Looking at the values would make a GPU wait; there, the lookup itself complains.
    if rows.device.type == "cpu" and rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < total:
        raise ValueError(
            f"rows of output {name!r} run from {int(rows.min())} to {int(rows.max())}, not 0 to {total - 1}"
        )


def _check(config: PerceiverConfig) -> None:
    """Contradictions in a config, named."""
    for name in ("num_latents", "latent_dim", "num_blocks", "num_layers"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")
    limits = {"num_cross_attends": "num_blocks", "distinct_blocks": "num_blocks"}
    for name, limit in (limits | {"distinct_cross_attends": "num_cross_attends"}).items():
        if not 1 <= getattr(config, name) <= getattr(config, limit):
            raise ValueError(f"{name} must lie in 1 to {limit}={getattr(config, limit)}, got {getattr(config, name)}")
    if config.gelu not in ("tanh", "erf"):
        raise ValueError(f"gelu must be tanh or erf, got {config.gelu!r}")
    if config.masked_rows not in ("zero", "uniform"):
        raise ValueError(f"masked_rows must be zero or uniform, got {config.masked_rows!r}")
    names = [output.name for output in config.outputs]
    if len(set(names)) < len(names):
        raise ValueError(f"outputs need names of their own, got {', '.join(names)}")
    flows = [output.name for output in config.outputs if isinstance(output, FlowOutputConfig)]
    if flows and not (len(config.inputs) == 1 and isinstance(config.inputs[0], FlowInputConfig)):
        raise ValueError(f"output {flows[0]!r} reads the tokens of frames: the one input must be a flow input")
