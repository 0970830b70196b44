"""A small network that learns from public pictures to see what a masked camera left out."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.privacy.attacks.camera import Pictures, Places, scatter

_CROP = 64
_BATCH = 16
_LEARNING_RATE = 2e-3

Floats = NDArray[np.float32]


class Decoder(nn.Module):
    """[N, 9, H, W] -> [N, 3, H, W]: corrections to a first filling, from what was kept, the mask, and the filling.

    Two levels of a U: convolutions at full and at half resolution, joined. Sizes must be even.
    """

    def __init__(self, channels: int, width: int = 32) -> None:
        super().__init__()
        self.enter = _convolutions(3 * channels, width)
        self.below = _convolutions(width, 2 * width)
        self.lowest = _convolutions(2 * width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, 2 * width, 2, stride=2)
        self.join = _convolutions(3 * width, width)
        self.leave = nn.Conv2d(width, channels, 3, padding=1)
        with torch.no_grad():  # so that training starts at the filling
            for parameter in self.leave.parameters():
                parameter.zero_()

    def forward(self, seen: Tensor) -> Tensor:
        fine = self.enter(seen)
        coarse = self.lowest(self.below(F.avg_pool2d(fine, 2)))
        joined = self.join(torch.cat([fine, self.up(coarse)], dim=1))
        corrections: Tensor = self.leave(joined)
        return corrections


class Reconstruction:
    """A trained decoder for one mask."""

    def __init__(self, network: Decoder, mask: NDArray[np.bool_]) -> None:
        self.network, self.mask = network, mask

    @torch.inference_mode()
    def __call__(self, filled: Floats) -> Floats:
        """Better pictures than first fillings of the gaps: float32 [N, H, W, C] in [0, 255], for the same."""
        whole = (slice(None), slice(None))
        pictures = []
        for filling in filled:
            seen = _see(filling[None], self.mask, whole)
            values = _corrected(self.network, seen)[0].permute(1, 2, 0).numpy()
            pictures.append(np.where(self.mask, filling, np.clip((values + 0.5) * 255, 0, 255)))
        return np.stack(pictures)


def train_decoder(
    public: Pictures,
    filled: Floats,
    places: Places,
    *,
    seconds: float = 60.0,
    max_steps: int = 20_000,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> Reconstruction:
    """A learnt reconstruction for one mask, in the number of threads that torch is set to.

    Large pictures are learnt in crops. The seconds end training early on a slow machine, so equal seeds give equal
    results only if `max_steps` is reached.

    Args:
        public: uint8 [M, H, W, C], H and W even: pictures of the kind that the camera takes.
        filled: float32 [M, H, W, C] in [0, 255], the same as they look once their gaps are filled by a simpler attack
            that did not learn from them.
        places: int64 [K], ascending, what is kept of [H W C].
        seconds: of training, at most.
        max_steps: of training, at most.
        seed: draws weights, pictures and crops.
        on_progress: called with the number of steps done.

    Raises:
        ValueError: the pictures have odd sizes, or there are none.
    """
    shape = public.shape[1:]
    if not len(public) or shape[0] % 2 or shape[1] % 2:
        raise ValueError(f"expected pictures of even height and width, got an array of shape {public.shape}")
    mask = scatter(np.ones((1, len(places)), np.uint8), places, shape)[0] > 0
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Decoder(shape[2])
    optimiser = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE)
    start = time.monotonic()
    for step in range(max_steps):
        share = max(step / max_steps, (time.monotonic() - start) / seconds)
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * max(0.02, 1 - share)
        chosen, window = rng.integers(0, len(public), _BATCH), _window(shape, rng)
        crops = filled[(chosen, *window)], public[(chosen, *window)]
        seen = _see(crops[0], mask, window)
        loss = (_corrected(network, seen) - _to_tensor(crops[1])).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if on_progress:
            on_progress(step + 1)
    return Reconstruction(network.eval(), mask)


def _corrected(network: Decoder, seen: Tensor) -> Tensor:
    filling = seen[:, -(seen.shape[1] // 3) :]
    corrected: Tensor = filling + network(seen)
    return corrected


def _see(filled: Floats, mask: NDArray[np.bool_], window: tuple[slice, slice]) -> Tensor:
    """What the network sees of a window: kept values, mask and the filling, [N, 3 C, h, w]."""
    filling = _to_tensor(filled)
    here = torch.from_numpy(mask[window]).permute(2, 0, 1)[None].float()
    return torch.cat([filling * here, here.expand_as(filling), filling], dim=1)


def _to_tensor(pictures: Pictures | Floats) -> Tensor:
    """float32 [N, C, H, W] in [-0.5, 0.5] of [N, H, W, C] in [0, 255]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255 - 0.5


def _window(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, slice]:
    """A crop of a picture, the whole where it is small."""
    height, width = min(_CROP, shape[0]), min(_CROP, shape[1])
    top = int(rng.integers(0, shape[0] - height + 1))
    left = int(rng.integers(0, shape[1] - width + 1))
    return slice(top, top + height), slice(left, left + width)


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GELU(), nn.Conv2d(outputs, outputs, 3, padding=1), nn.GELU()]
    return nn.Sequential(*layers)
