"""The decoder of Perceiver IO: queries of all outputs read the latents through one layer (Jaegle et al. 2022, 3.2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anybyte.config import ClassOutputConfig, PerceiverConfig
from anybyte.models.attention import AttentionLayer, OtherSource, Source
from anybyte.models.inputs import Inputs
from anybyte.models.queries import Output, QueriedConfig, Rows


class Decoder(nn.Module):
    """Queries cross-attend to the latents; one layer for all outputs."""

    def __init__(
        self, config: PerceiverConfig, outputs: list[QueriedConfig], inputs: Inputs, embedding: nn.Embedding | None
    ) -> None:
        super().__init__()
        parts = {output.name: Output(output, inputs.num_channels, embedding, list(inputs.parts)) for output in outputs}
        # A class output that takes the query of a token takes it as wide as it is.
        self.lenders = {
            name: part.config.query_of if isinstance(part.config, ClassOutputConfig) else None
            for name, part in parts.items()
        }
        widths = {name: part.num_channels for name, part in parts.items() if self.lenders[name] is None}
        width = max(widths.values())
        self.padding = nn.ParameterDict()
        if len(widths) > 1:
            width += config.query_padding
            for name, narrow in widths.items():
                if narrow < width:
                    self.padding[name] = nn.Parameter(torch.empty(1, width - narrow))
        self.layer = AttentionLayer(
            width, config.latent_dim, config.decode, config.gelu, config.masked_rows, config.dropout
        )
        self.projection = None if config.decoder_channels is None else nn.Linear(width, config.decoder_channels)
        for part in parts.values():
            part.project_from(width if config.decoder_channels is None else config.decoder_channels)
        self.outputs = nn.ModuleDict(parts)

    def output(self, name: str) -> Output:
        """The output of a name."""
        output = self.outputs[name]
        assert isinstance(output, Output)
        return output

    def forward(
        self,
        name: str,
        rows: Rows,
        source: Source | OtherSource,
        latents: Float[Tensor, "batch latents dim"],
        tokens: Float[Tensor, "batch tokens channels"] | None,
        keep: Tensor | None,
        embedding: nn.Embedding | None,
    ) -> Float[Tensor, "batch rows values"]:
        """The values of some queries of one output; `tokens` are those of the input that it takes its queries from."""
        output = self.output(name)
        lender = self.lenders[name]
        if lender is None:
            queries = output.queries(rows, latents, tokens)
        else:
            assert isinstance(output.config, ClassOutputConfig)
            place = output.config.position
            queries = self.output(lender).queries(slice(place, place + 1), latents, None)
        padding = name if lender is None else lender
        if padding in self.padding:
            queries = torch.cat([queries, self.padding[padding].expand(*queries.shape[:2], -1)], dim=-1)
        decoded = self.layer(queries, source, None, keep)
        if self.projection is not None:
            decoded = self.projection(decoded)
        return output.values(decoded, embedding)
