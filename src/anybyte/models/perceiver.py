"""Perceiver and Perceiver IO: any array in, any array out (Jaegle et al. 2021, 2022; arXiv 2103.03206, 2107.14795).

Notable here:
- every model of both papers is this one composition under another config: the original Perceiver reads its inputs
  before each block and averages its latents;
- an array is encoded once and decoded in pieces of any size, and attention never holds [queries x keys] of long arrays;
- files are an input like any array: each batch is padded and masked, and long files are read in stretches;
- where DeepMind's release and transformers differ, a field of the config says which; DeepMind's is the default.

    arrays -> Inputs -> tokens [B, M, C] -> encode: cross-attention into latents [B, N, D] -> process: blocks of
    self-attention, weights shared -> decode: queries [B, O, E] cross-attend to the latents -> values
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from anybyte.batch import ByteBatch
from anybyte.config import (
    AverageOutputConfig,
    BytesInputConfig,
    ClassOutputConfig,
    EntityOutputConfig,
    FlowInputConfig,
    FlowOutputConfig,
    PerceiverConfig,
    PooledOutputConfig,
)
from anybyte.models import long_files
from anybyte.models.arguments import by_name, check_config, check_rows, check_whole, choose_outputs, pieces
from anybyte.models.attention import AttentionLayer, OtherSource, Source
from anybyte.models.decoder import Decoder
from anybyte.models.inputs import Arrays, BytesInput, Grid, Inputs, Masks, TokenInput, Tokens, check_mask
from anybyte.models.one_head import as_array, as_latents
from anybyte.models.positions import LearnedPositions
from anybyte.models.pretrained import Pretrained
from anybyte.models.queries import AverageOutput, Output, Rows
from anybyte.models.starts.matching import start_matching
from anybyte.models.starts.places import start_at_places
from anybyte.models.windows import Lengths

_LEARNED_STD = 0.02
"""Of latents, positions, queries, padding and mask tokens at the start."""
_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal truncated at two."""


@dataclass(frozen=True)
class Encoded:
    """What a Perceiver knows of its inputs: enough to decode any part of its outputs.

    Attributes:
        latents: [batch, num_latents, latent_dim].
        tokens: [batch, tokens, channels], the inputs as they were attended to. None where files were read in stretches.
        grids: the places of each input's tokens.
        masks: True at the tokens of an input that were attended, [batch, tokens]; inputs not named here were whole.
    """

    latents: Tensor
    tokens: Tensor | None
    grids: Mapping[str, Grid]
    masks: Mapping[str, Tensor] = field(default_factory=dict)

    def tokens_of(self, name: str) -> Tensor | None:
        """The tokens of one input."""
        if self.tokens is None:
            return None
        start = 0
        for other, grid in self.grids.items():
            if other == name:
                return self.tokens[:, start : start + prod(grid)]
            start += prod(grid)
        raise KeyError(name)


class Perceiver(Pretrained):
    """`model(arrays) -> outputs`: a tensor for a model with one input or output, a mapping for several."""

    config_class = PerceiverConfig

    def __init__(self, config: PerceiverConfig) -> None:
        super().__init__()
        check_config(config)
        self.config = config
        self.inputs = Inputs(config.inputs, config.input_padding)
        channels, dim = self.inputs.num_channels, config.latent_dim
        self.latents = nn.Parameter(torch.empty(config.num_latents, dim))
        self.encoders = nn.ModuleList(
            AttentionLayer(dim, channels, config.encode, config.gelu, config.masked_rows, config.dropout)
            for _ in range(config.distinct_cross_attends)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                AttentionLayer(dim, None, config.process, config.gelu, config.masked_rows, config.dropout)
                for _ in range(config.num_layers)
            )
            for _ in range(config.distinct_blocks)
        )
        averaged = [output for output in config.outputs if isinstance(output, AverageOutputConfig)]
        queried = [output for output in config.outputs if not isinstance(output, AverageOutputConfig)]
        self.averages = nn.ModuleDict({output.name: AverageOutput(output, dim) for output in averaged})
        self.decoder = Decoder(config, queried, self.inputs, self._embedding()) if queried else None
        self._initialise()

    @property
    def num_classes(self) -> int | None:
        """Classes of the one output that has any; None if there is no such output, or several."""
        found = self._class_outputs()
        return found[0].num_classes if len(found) == 1 else None

    @property
    def has_several(self) -> bool:
        """Whether what it answers may be of several classes at once."""
        return any(part.several for part in self._class_outputs())

    def _class_outputs(self) -> list[ClassOutputConfig | AverageOutputConfig]:
        return [part for part in self.config.outputs if isinstance(part, ClassOutputConfig | AverageOutputConfig)]

    @property
    def reads_files(self) -> bool:
        """Whether `model(ByteBatch)` is the logits of files."""
        only_files = len(self.config.inputs) == 1 and isinstance(self.config.inputs[0], BytesInputConfig)
        return only_files and len(self.config.outputs) == 1 and self.num_classes is not None

    def forward(
        self,
        arrays: Arrays,
        mask: Masks | None = None,
        query_mask: Masks | None = None,
        rows: Masks | None = None,
        piece: int | None = None,
        outputs: Sequence[str] | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """The outputs, or the latents [batch, num_latents, latent_dim] of a model without any.

        Args:
            arrays: the inputs; of several, those left out count as masked. Files are a `ByteBatch`.
            mask: 1 at tokens that may be attended, [batch, tokens] an input. None: all.
            query_mask, rows, piece, outputs: see `decode`.

        Raises:
            ValueError: something does not fit; the message names the input, and what would.
        """
        return self.decode(self.encode(arrays, mask), query_mask, rows, piece, outputs)

    def encode(self, arrays: Arrays, mask: Masks | None = None) -> Encoded:
        """The inputs, read and processed: all of the work that does not grow with the outputs."""
        names = list(self.inputs.parts)
        given, masks = by_name(arrays, names, "input"), by_name(mask, names, "input")
        files = given.get(names[0])
        if isinstance(files, ByteBatch) and self._reads_in_stretches(files):
            return Encoded(long_files.latents_of_long_files(self, names[0], files), None, {})
        return self._encode_tokens(self.inputs(given, masks, self.latents.dtype))

    def logits_from_stem(self, x: Float[Tensor, "tokens channels"], counts: Lengths) -> Float[Tensor, "files classes"]:
        """Logits from what the stem made of files: all that is not linear in the embedded bytes (`anybyte.explain`).

        Raises:
            ValueError: the model does not classify files (`reads_files`).
        """
        if not self.reads_files:
            raise ValueError("this Perceiver does not classify files, so there is no stem to begin from")
        name, part = next(iter(self.inputs.parts.items()))
        assert isinstance(part, BytesInput)
        values, grid, keep = part.arrange(x, counts)
        masks = {} if keep is None else {name: keep}
        logits = self.decode(self._encode_tokens(Tokens(values.to(self.latents.dtype), keep, {name: grid}, masks)))
        assert isinstance(logits, Tensor)
        return logits

    def _encode_tokens(self, tokens: Tokens) -> Encoded:
        """The inputs, attended to and processed."""

        def read(layer: AttentionLayer, x: Tensor) -> Tensor:
            return self._run(_read_and_attend, layer, x, tokens.values, tokens.keep)

        x = self.process(self.latents.expand(len(tokens.values), -1, -1), read)
        return Encoded(x, tokens.values, tokens.grids, tokens.masks)

    def process(
        self, x: Float[Tensor, "batch latents dim"], read: Callable[[AttentionLayer, Tensor], Tensor]
    ) -> Float[Tensor, "batch latents dim"]:
        """The latents after all blocks; `read(layer, latents)` lets them attend to the inputs."""
        for index in range(self.config.num_blocks):
            if index < self.config.num_cross_attends:
                encoder = self.encoders[min(index, len(self.encoders) - 1)]
                assert isinstance(encoder, AttentionLayer)
                x = read(encoder, x)
            block = self.blocks[min(index, len(self.blocks) - 1)]
            assert isinstance(block, nn.ModuleList)
            for layer in block:
                x = self._run(layer, x)
        return x

    def decode(
        self,
        encoded: Encoded,
        query_mask: Masks | None = None,
        rows: Masks | None = None,
        piece: int | None = None,
        outputs: Sequence[str] | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """The outputs, whole or in part.

        Args:
            encoded: what `encode` returned.
            query_mask: 1 at queries that may attend, [batch, queries] an output; counts the queries of `rows` if given.
                None: all; of entities, those that the encoder's mask kept.
            rows: which queries of an output to answer, as row-major indices [rows] or [batch, rows]; the answer is
                [batch, rows, channels]. None, and outputs not named: all.
            piece: queries decoded at once, at most. None: all of an output.
            outputs: names of the outputs to answer. None: all. A model of several answers with a mapping, even for one.
        """
        if piece is not None and piece < 1:
            raise ValueError(f"piece must be at least 1, got {piece}")
        if not self.config.outputs:
            return encoded.latents
        names = [output.name for output in self.config.outputs]
        masks, wanted = by_name(query_mask, names, "output"), by_name(rows, names, "output")
        chosen = choose_outputs(outputs, names)
        queried = [name for name in chosen if name not in self.averages]
        source = self._latents_as_read(queried, encoded, masks, wanted) if queried else None
        answers = {}
        for name in chosen:
            if name in self.averages:
                answers[name] = self.averages[name](encoded.latents)
            else:
                assert source is not None
                answers[name] = self._decode_one(name, source, encoded, masks.get(name), wanted.get(name), piece)
        return answers if len(names) > 1 else answers[names[0]]

    def _latents_as_read(
        self, names: Sequence[str], encoded: Encoded, masks: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
    ) -> Source | OtherSource:
        """The latents in the form in which the queries of some outputs read them with the fewest products."""
        assert self.decoder is not None
        if masks or encoded.masks:
            return self.decoder.layer.read(encoded.latents)
        count = 0
        for name in names:
            output = self.decoder.output(name)
            grid = None if output.source is None else encoded.grids[output.source]
            count += wanted[name].shape[-1:].numel() if name in wanted else output.num_queries(grid)
        return as_latents(self.decoder.layer, encoded.latents, count)

    def _decode_one(
        self,
        name: str,
        source: Source | OtherSource,
        encoded: Encoded,
        mask: Tensor | None,
        wanted: Tensor | None,
        piece: int | None,
    ) -> Tensor:
        assert self.decoder is not None
        output, batch = self.decoder.output(name), len(encoded.latents)
        tokens = None if output.source is None else encoded.tokens_of(output.source)
        grid = None if output.source is None else encoded.grids[output.source]
        check_whole(output.config, name, wanted)
        count = output.num_queries(grid)
        if wanted is not None:
            check_rows(name, wanted, batch, count)
            count = wanted.shape[-1]
        if mask is not None:
            mask = check_mask(f"the query mask of output {name!r}", mask, encoded.latents.new_empty(batch, count))
        elif isinstance(output.config, EntityOutputConfig | PooledOutputConfig):
            assert output.source is not None
            mask = encoded.masks.get(output.source)
            if mask is not None and wanted is not None:
                mask = mask.gather(1, wanted.expand(batch, -1))
        whole: Tensor | None = None
        parts = []
        for part in pieces(count, piece):
            chosen: Rows = part if wanted is None else wanted[..., part]
            kept = None if mask is None else mask[:, part]
            arguments = (name, chosen, source, encoded.latents, tokens, kept, self._embedding())
            found = self._run(self.decoder, *arguments)
            if torch.is_grad_enabled() or found.shape[1] == count:
                parts.append(found)
                continue
            # Small answers that stay, between large tensors that go, would leave holes which malloc cannot use again:
            # the process would grow by the work of each piece.
            if whole is None:
                whole = found.new_empty(len(found), count, found.shape[2])
            whole[:, part] = found
        values = whole if whole is not None else torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return output.arrange(values, grid, mask, wanted is None)

    def _reads_in_stretches(self, files: ByteBatch) -> bool:
        """Whether files are too long for their tokens to be in memory at once, and nothing needs them to be."""
        part = next(iter(self.inputs.parts.values()))
        if len(self.inputs.parts) > 1 or not isinstance(part, BytesInput) or torch.is_grad_enabled():
            return False
        needed = self.decoder is not None and any(self.decoder.output(name).source for name in self.decoder.outputs)
        drops = self.training and self.config.dropout > 0
        return not needed and not drops and long_files.are_long(part, files)

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
        if self.config.latent_grids:
            start_at_places(self)
        if any(isinstance(part, FlowInputConfig) and part.initialisation == "matching" for part in self.config.inputs):
            start_matching(self)


def _read_and_attend(layer: AttentionLayer, x: Tensor, tokens: Tensor, keep: Tensor | None) -> Tensor:
    source = layer.read(tokens) if keep is not None else as_array(layer, x, tokens)
    out: Tensor = layer(x, source, keep)
    return out


def _truncated(tensor: Tensor, std: float) -> None:
    nn.init.trunc_normal_(tensor, std=std, a=-2 * std, b=2 * std)
