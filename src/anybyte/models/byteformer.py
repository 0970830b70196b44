"""ByteFormer: a transformer that classifies files straight from their bytes (Horton et al. 2023, arXiv 2306.00238).

Notable here:
- a batch is bytes end to end, tokens stay end to end, and windows are cut per file: no file is padded to another's
  length, and a file's answer does not depend on its neighbours;
- the stem is a table lookup (stem.py);
- without gradients, blocks run over some thousand tokens at a time, so that their work stays in the processor's cache
  (inference.py), and a very long file goes through the whole network in stretches (stretches.py);
- `numerics="corenet"` computes what the paper's released code computes (corenet_numerics.py).

    bytes -> Stem -> + positions -> [Block -> (TokenMerge)] * depth -> LayerNorm -> mean over the file -> Linear ->
    logits
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anybyte.batch import ByteBatch
from anybyte.config import ByteFormerConfig
from anybyte.models import corenet_numerics, inference, stretches
from anybyte.models.attention import Block, TokenMerge
from anybyte.models.positions import LearnedPositions, SinusoidalPositions
from anybyte.models.pretrained import Pretrained
from anybyte.models.stem import Stem
from anybyte.models.windows import Lengths, cut_windows, directs, group_windows, plan_windows


class ByteFormer(Pretrained):
    """A classifier of files: `model(ByteBatch) -> logits [files, num_classes]`."""

    config_class = ByteFormerConfig

    def __init__(self, config: ByteFormerConfig) -> None:
        super().__init__()
        _check(config)
        self.config = config
        dim, eps = config.dim, config.layer_norm_eps
        self.windows = window_schedule(config)
        self.stem = Stem(dim, config.kernel_size)
        self.positions: LearnedPositions | SinusoidalPositions | None = None
        if config.positions == "learned":
            self.positions = LearnedPositions(dim, config.max_num_tokens)
        elif config.positions == "sinusoidal":
            scale = dim**-0.5 if config.position_scale is None else config.position_scale
            self.positions = SinusoidalPositions(dim, scale)
        self.blocks = nn.ModuleList(
            Block(dim, config.num_heads, config.mlp_ratio, config.dropout, eps) for _ in range(config.depth)
        )
        self.merges = nn.ModuleDict({str(block): TokenMerge(dim, eps) for block in sorted(config.merge_after)})
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.classifier = nn.Linear(dim, config.num_classes)
        self._initialise()

    @property
    def reads_files(self) -> bool:
        """Whether `model(ByteBatch)` is the logits of files: it is."""
        return True

    @directs
    def forward(self, batch: ByteBatch) -> Float[Tensor, "files classes"]:
        """Logits of each file.

        Raises:
            ValueError: not a batch, or a file is longer than a learned position table allows.
        """
        logits: Tensor = self.classifier(self.features(batch).to(self.classifier.weight.dtype))
        return logits

    @directs
    def features(self, batch: ByteBatch) -> Float[Tensor, "files dim"]:
        """What the classifier reads: the mean of each file's final tokens."""
        if not isinstance(batch, ByteBatch):
            raise ValueError(
                f"expected a ByteBatch, got {type(batch).__name__}: see ByteBatch.from_bytes and .from_files"
            )
        if len(batch) == 0:
            return self.norm.weight.new_zeros(0, self.config.dim)
        if self.config.numerics == "corenet":
            return corenet_numerics.features(self, batch)
        if not torch.is_grad_enabled() and int(batch.lengths.max()) > stretches.STRETCH_BYTES:
            return stretches.features_of_long_files(self, batch)
        if not torch.is_grad_enabled():
            groups = inference.group_files(batch, self.stem.stride)
            if len(groups) > 1:
                return torch.cat([self.features(group) for group in groups])
        tokens, counts = self.tokens(batch)
        return mean_by_file(tokens, counts)

    @directs
    def tokens(self, batch: ByteBatch) -> tuple[Float[Tensor, "tokens dim"], Lengths]:
        """Final tokens (normalised) of all files end to end, and how many each file has."""
        return self._through_blocks(*self.stem(batch))

    @directs
    def logits_from_stem(self, x: Float[Tensor, "tokens dim"], counts: Lengths) -> Float[Tensor, "files classes"]:
        """Logits from what the stem made of files: all that is not linear in the embedded bytes (`anybyte.explain`)."""
        if self.config.numerics == "corenet":
            features = corenet_numerics.features_from_stem(self, x.view(len(counts), -1, x.shape[1]))
        else:
            features = mean_by_file(*self.tokens_from_stem(x, counts))
        logits: Tensor = self.classifier(features.to(self.classifier.weight.dtype))
        return logits

    @directs
    def tokens_from_stem(
        self, x: Float[Tensor, "tokens dim"], counts: Lengths
    ) -> tuple[Float[Tensor, "final dim"], Lengths]:
        """Final tokens (normalised) from those of the stem, `counts` a file, and how many each file has then."""
        return self._through_blocks(x if torch.is_grad_enabled() else x.clone(), counts)

    @directs
    def _through_blocks(self, x: Tensor, counts: Lengths) -> tuple[Tensor, Lengths]:
        """`tokens_from_stem`, which may write into x where no gradient is wanted."""
        x = self._add_positions(x, counts)
        if self.config.dropout:
            x = nn.functional.dropout(x, self.config.dropout, self.training)
        for index in range(self.config.depth):
            window, shift = self.windows[index]
            x = self._run_windows(index, x, cut_windows(counts, window, shift), counts, x)
            x, counts = self.run_merge(index, x, counts)
        return self.norm(x), counts

    @directs
    def run_block(self, index: int, x: Float[Tensor, "tokens dim"], counts: Lengths) -> Float[Tensor, "tokens dim"]:
        """Block `index` over files of `counts` tokens."""
        window, shift = self.windows[index]
        return self.run_windows(index, x, cut_windows(counts, window, shift), counts)

    @directs
    def run_windows(
        self, index: int, x: Float[Tensor, "tokens dim"], lengths: Lengths, counts: Lengths | None = None
    ) -> Float[Tensor, "tokens dim"]:
        """Block `index` over windows of `lengths` tokens; `counts`, the tokens of each file, serve stochastic depth."""
        return self._run_windows(index, x, lengths, counts, None)

    def _run_windows(
        self, index: int, x: Tensor, lengths: Lengths, counts: Lengths | None, out: Tensor | None
    ) -> Float[Tensor, "tokens dim"]:
        """As `run_windows`; `out` may hold the result, and may be x itself."""
        block, window = self.blocks[index], self.windows[index][0]
        assert isinstance(block, Block)
        if torch.is_grad_enabled():
            keep = self._stochastic_depth(index, x, counts) if self.training and counts is not None else None
            return block(x, plan_windows(lengths, window, x.device), keep)  # type: ignore[no-any-return]
        run = inference.ready(block, x)
        if run is None:
            return block(x, plan_windows(lengths, window, x.device))  # type: ignore[no-any-return]
        if out is None:
            out = torch.empty_like(x)
        for first, end, part in group_windows(lengths, inference.TOKENS_AT_ONCE * torch.get_num_threads()):
            run(x[first:end], plan_windows(part, window, x.device), out[first:end])
        return out

    @directs
    def run_merge(
        self, index: int, x: Float[Tensor, "tokens dim"], counts: Lengths
    ) -> tuple[Float[Tensor, "merged dim"], Lengths]:
        """Token merging after block `index`, if there is any."""
        if str(index) not in self.merges:
            return x, counts
        if (counts % 2).any():
            x = _pad_odd(x, counts)
        merge, pairs = self.merges[str(index)], x.reshape(-1, 2 * x.shape[1])
        assert isinstance(merge, TokenMerge)
        run = inference.ready(merge, pairs) or merge
        return run(pairs), (counts + 1) // 2

    @directs
    def _add_positions(self, x: Tensor, counts: Lengths) -> Tensor:
        if self.positions is None:
            return x
        table = self.positions.table(0, int(counts.max())).to(x.dtype)
        if (counts == counts[0]).all():
            files = x.view(len(counts), -1, x.shape[1])
            return torch.add(files, table, out=None if torch.is_grad_enabled() else files).flatten(0, 1)
        return x + torch.cat([table[:count] for count in counts.tolist()])

    def _stochastic_depth(self, index: int, x: Tensor, counts: Lengths) -> tuple[Tensor, Tensor] | None:
        """Factors 0 or 1 / (1 - rate) for both branches of a block, drawn for each file; the rate grows with depth."""
        rate = self.config.drop_path * index / max(1, self.config.depth - 1)
        if not rate:
            return None
        drawn = torch.rand(2, len(counts), 1, device=x.device).ge(rate).to(x.dtype) / (1 - rate)
        repeats = torch.from_numpy(counts).to(x.device)
        attention, mlp = drawn.repeat_interleave(repeats, dim=1)
        return attention, mlp

    def _initialise(self) -> None:
        """`paper`: the released code's, truncated normal 0.02 for linears. The others: see the config."""
        start = {"paper": None, "smooth": self.stem.start_smooth, "samples": self.stem.start_as_samples}
        start_bytes = start[self.config.initialisation]
        if start_bytes:
            start_bytes()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                std = 0.7 * module.in_features**-0.5 if start_bytes and module is not self.classifier else 0.02
                nn.init.trunc_normal_(module.weight, std=std, a=-3 * std, b=3 * std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, LearnedPositions):
                nn.init.trunc_normal_(module.rows, std=self.config.dim**-0.5)


def window_schedule(config: ByteFormerConfig) -> tuple[tuple[int, int], ...]:
    """(window, shift) of each block."""
    sizes = config.window_sizes
    windows = (sizes,) * config.depth if isinstance(sizes, int) else tuple(sizes)
    shifts = config.window_shifts
    if shifts is None:
        shifts = tuple(window // 2 * (index % 2) for index, window in enumerate(windows))
    return tuple(zip(windows, shifts, strict=True))


def mean_by_file(x: Float[Tensor, "tokens dim"], counts: Lengths) -> Float[Tensor, "files dim"]:
    """The mean of each file's tokens, in float32 or wider."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if (counts == counts[0]).all():
        return x.view(len(counts), -1, x.shape[1]).mean(dim=1)
    return torch.stack([part.mean(dim=0) for part in x.split(counts.tolist())])


def _pad_odd(x: Tensor, counts: Lengths) -> Tensor:
    """A zero token behind each file with an odd number of tokens."""
    zero = x.new_zeros(1, x.shape[1])
    parts: list[Tensor] = []
    for part in x.split(counts.tolist()):
        parts += [part, zero] if len(part) % 2 else [part]
    return torch.cat(parts)


def _check(config: ByteFormerConfig) -> None:
    """Contradictions in a config, named."""
    for name in ("num_classes", "dim", "num_heads", "depth", "max_num_tokens"):
        value = getattr(config, name)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not config.dim * config.mlp_ratio >= 1:
        raise ValueError(f"mlp_ratio {config.mlp_ratio} leaves no hidden unit at dim {config.dim}")
    for name in ("window_sizes", "window_shifts"):
        value = getattr(config, name)
        if isinstance(value, tuple) and len(value) != config.depth:
            raise ValueError(f"{name} has {len(value)} entries for {config.depth} blocks")
    sizes = config.window_sizes if isinstance(config.window_sizes, tuple) else (config.window_sizes,)
    if min(sizes) < 1:
        raise ValueError(f"a window needs at least 1 token, got {min(sizes)}")
    for block in config.merge_after:
        if not 0 <= block < config.depth:
            raise ValueError(f"merge_after names block {block}, but there are blocks 0 to {config.depth - 1}")
    for name in ("dropout", "drop_path"):
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {getattr(config, name)}")
    if config.positions not in ("learned", "sinusoidal", "none"):
        raise ValueError(f"positions must be learned, sinusoidal or none, got {config.positions!r}")
    if config.initialisation not in ("paper", "smooth", "samples"):
        raise ValueError(f"initialisation must be paper, smooth or samples, got {config.initialisation!r}")
    if config.numerics not in ("anybyte", "corenet"):
        raise ValueError(f"numerics must be anybyte or corenet, got {config.numerics!r}")
