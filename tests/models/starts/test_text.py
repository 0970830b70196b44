"""Where the heads of a language model look before they have learned anything."""

from dataclasses import replace

import pytest
import torch

from anybyte.config import (
    AttentionConfig,
    LatentGridConfig,
    PerceiverConfig,
    TokenInputConfig,
    TokenOutputConfig,
)
from anybyte.models.attention import AttentionLayer
from anybyte.models.inputs.sequences import TokenInput
from anybyte.models.perceiver import Perceiver

LENGTH, LATENTS, HEADS = 128, 32, 4
STEP = LENGTH // LATENTS

_ATTENTION = AttentionConfig(num_heads=HEADS, qk_channels=64, v_channels=64)
CONFIG = PerceiverConfig(
    inputs=(TokenInputConfig(num_channels=48, max_length=LENGTH),),
    outputs=(TokenOutputConfig(query_channels=48, max_length=LENGTH),),
    num_latents=LATENTS,
    latent_dim=64,
    num_blocks=1,
    num_layers=2,
    encode=_ATTENTION,
    process=_ATTENTION,
    decode=_ATTENTION,
    latent_grids=(LatentGridConfig(input="tokens", output="tokens", shape=(LATENTS,)),),
)


@pytest.fixture(scope="module")
def model() -> Perceiver:
    torch.manual_seed(0)
    return Perceiver(CONFIG)


def looked_at(layer: AttentionLayer, x: torch.Tensor, source: torch.Tensor | None) -> torch.Tensor:
    """[heads, rows] where each row of x looks most."""
    keys = layer._heads(layer.key(layer.norm(x))) if source is None else layer.read(source)[0]
    return (layer.queries(x) @ keys.transpose(-1, -2))[0].argmax(-1)


def test_heads_of_the_encoder_read_the_bytes_around_a_latent(model: Perceiver) -> None:
    part, encoder = model.inputs.parts["tokens"], model.encoders[0]
    assert isinstance(part, TokenInput)
    assert isinstance(encoder, AttentionLayer)
    tokens = part(torch.randint(6, 262, (1, LENGTH)))[0]
    found = looked_at(encoder, model.latents[None], tokens)[:, 2:-2]
    places = (torch.arange(LATENTS) * STEP + STEP / 2 - 0.5)[2:-2]
    # Heads are two bytes apart, around the middle of the latent's stretch.
    for head, offset in enumerate((-3, -1, 1, 3)):
        assert (found[head] - (places + offset)).abs().max() <= 1.5


def test_blocks_read_the_neighbours(model: Perceiver) -> None:
    layer = model.blocks[0][0]  # type: ignore[index]
    assert isinstance(layer, AttentionLayer)
    found, own = looked_at(layer, model.latents[None], None)[:, 2:-2], torch.arange(LATENTS)[2:-2]
    for head, offset in enumerate((0, -1, 1)):
        assert torch.equal(found[head], own + offset)


def test_queries_read_the_latents_around_them(model: Perceiver) -> None:
    assert model.decoder is not None
    queries = model.decoder.output("tokens").queries(slice(0, LENGTH), model.latents[None], None)
    found = looked_at(model.decoder.layer, queries, model.latents[None])
    assert torch.equal(found[0], torch.arange(LENGTH) // STEP)


def test_only_the_start_differs() -> None:
    """The same weights compute the same, whether the config says how they began or not."""
    torch.manual_seed(0)
    local, plain = Perceiver(CONFIG), Perceiver(replace(CONFIG, latent_grids=()))
    plain.load_state_dict(local.state_dict())
    ids = torch.randint(6, 262, (2, 50))
    for model in (local, plain):
        model.eval()
    assert torch.equal(local(ids, rows=torch.arange(5)), plain(ids, rows=torch.arange(5)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_grids": (LatentGridConfig(input="tokens", output="tokens", shape=(16,)),)}, "not all 32 latents"),
        ({"latent_grids": (LatentGridConfig(input="tokens", output="texts", shape=(32,)),)}, "an output of tokens"),
        ({"inputs": (TokenInputConfig(num_channels=48, max_length=64),)}, "128 places and the input 64"),
        ({"process": AttentionConfig(num_heads=16, qk_channels=64)}, "heads of 8 channels .* the narrowest head has 4"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Perceiver(replace(CONFIG, **changes))  # type: ignore[arg-type]
