"""The laws of ByteFormer: a file's answer is its own, padding never leaks, every byte is read."""

from __future__ import annotations

import dataclasses

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anybyte.batch import ByteBatch
from anybyte.config import ByteFormerConfig
from anybyte.models.byteformer import ByteFormer
from anybyte.models.zoo import create_model

SMALL = ByteFormerConfig(
    num_classes=5, dim=24, num_heads=3, depth=4, kernel_size=4, window_sizes=8, merge_after=(0, 2), max_num_tokens=400
)


def random_files(lengths: list[int], seed: int = 0) -> list[bytes]:
    generator = torch.Generator().manual_seed(seed)
    return [bytes(torch.randint(0, 256, (length,), generator=generator).tolist()) for length in lengths]


def build(config: ByteFormerConfig, seed: int = 0) -> ByteFormer:
    torch.manual_seed(seed)
    return ByteFormer(config).eval()


@pytest.fixture(scope="module")
def tiny() -> ByteFormer:
    """The paper's tiny size."""
    torch.manual_seed(0)
    model = create_model("byteformer_tiny", num_classes=10)
    assert isinstance(model, ByteFormer)
    return model.eval()


# One byte, shorter than a kernel, around one window of 8 tokens of stride 2, empty.
ODD_LENGTHS = [0, 1, 2, 3, 4, 5, 17, 18, 19, 20, 21]
lengths_lists = st.lists(st.sampled_from(ODD_LENGTHS) | st.integers(0, 300), min_size=1, max_size=7)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
@settings(max_examples=40, deadline=None)
@given(lengths=lengths_lists, seed=st.integers(0, 2**16), gradients=st.booleans())
def test_a_files_answer_is_its_own(positions: str, lengths: list[int], seed: int, gradients: bool) -> None:
    """In any batch, in any order, logits are those of the file alone (with and without the paths of inference)."""
    model = build(dataclasses.replace(SMALL, positions=positions))
    files = random_files(lengths, seed)
    with torch.set_grad_enabled(gradients):
        together = model(ByteBatch.from_bytes(files))
        alone = torch.cat([model(ByteBatch.from_bytes([file])) for file in files])
        backwards = model(ByteBatch.from_bytes(files[::-1])).flip(0)
    assert together.isfinite().all()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(together, backwards, atol=1e-5, rtol=0)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 15, 16, 17, 1032, 1033, 1040]) | st.integers(0, 5000), min_size=2, max_size=4))
def test_a_files_answer_is_its_own_in_the_papers_tiny_size(tiny: ByteFormer, lengths: list[int]) -> None:
    files = random_files(lengths)
    with torch.inference_mode():
        together = tiny(ByteBatch.from_bytes(files))
        alone = torch.cat([tiny(ByteBatch.from_bytes([file])) for file in files])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def plain_logits(model: ByteFormer, data: bytes) -> torch.Tensor:
    """One file through the plain form: embedding, Conv1d, attention under an explicit mask [tokens, tokens]."""
    config, kernel, stride = model.config, model.config.kernel_size, model.config.kernel_size // 2
    count = max(1, -(-(len(data) - kernel) // stride) + 1)
    padded = torch.full(((count - 1) * stride + kernel,), 256)
    padded[: len(data)] = torch.tensor(list(data), dtype=torch.long)
    embedded = model.stem.embedding.clone()
    embedded[256] = 0
    x = torch.nn.functional.conv1d(embedded[padded].T[None], model.stem.kernel, stride=stride)[0].T
    if model.positions is not None:
        x = x + model.positions.table(0, count)
    for index, block in enumerate(model.blocks):
        window, shift = model.windows[index]
        place = (torch.arange(len(x)) - shift) // window
        allowed = place[:, None] == place[None]
        q, k, v = block.attention.qkv(block.norm1(x)).view(len(x), 3, config.num_heads, -1).permute(1, 2, 0, 3)
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~allowed, -torch.inf)
        x = x + block.attention.out((scores.softmax(-1) @ v).transpose(0, 1).flatten(1))
        x = x + block.mlp(block.norm2(x))
        if str(index) in model.merges:
            x = torch.cat([x, x.new_zeros(len(x) % 2, x.shape[1])])
            x = model.merges[str(index)](x.view(-1, 2 * x.shape[1]))
    return model.classifier(model.norm(x).mean(0))


@settings(max_examples=40, deadline=None)
@given(length=st.sampled_from(ODD_LENGTHS) | st.integers(0, 300), window=st.sampled_from([1, 3, 8, 64]))
def test_equals_the_plain_form(length: int, window: int) -> None:
    model = build(dataclasses.replace(SMALL, window_sizes=window))
    (data,) = random_files([length])
    with torch.no_grad():
        logits = model(ByteBatch.from_bytes([data]))[0]
        torch.testing.assert_close(logits, plain_logits(model, data), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", [[300, 37, 1, 120], [300], [80, 80, 80]])
def test_gradients_equal_those_of_the_plain_form(lengths: list[int]) -> None:
    model = build(SMALL).double()
    files = random_files(lengths)
    batch = ByteBatch.from_bytes(files)
    weights = torch.randn(len(files), 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parameters = list(model.parameters())
    fast = torch.autograd.grad((model(batch) * weights).sum(), parameters)
    plain = torch.stack([plain_logits(model, data) for data in files])
    expected = torch.autograd.grad((plain * weights).sum(), parameters)
    for (name, _), ours, theirs in zip(model.named_parameters(), fast, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_every_byte_is_read() -> None:
    """Changing any single byte, the last one too, changes the answer."""
    model = build(SMALL)
    (data,) = random_files([61])
    changed = [data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :] for place in range(len(data))]
    with torch.inference_mode():
        logits = model(ByteBatch.from_bytes([data, *changed]))
    assert (logits[1:] - logits[0]).abs().amax(1).min() > 1e-7


def test_shifted_windows_do_not_wrap() -> None:
    """The first byte does not reach the last token's neighbourhood when windows do not connect them."""
    model = build(dataclasses.replace(SMALL, depth=2, merge_after=()))
    (data,) = random_files([200])
    with torch.inference_mode():
        tokens, _ = model.tokens(ByteBatch.from_bytes([data]))
        changed, _ = model.tokens(ByteBatch.from_bytes([bytes([data[0] ^ 255]) + data[1:]]))
    moved = (tokens - changed).abs().amax(1) > 1e-7
    assert moved[:8].all()
    assert not moved[16:].any()


def test_the_caller_s_input_is_left_alone() -> None:
    batch = ByteBatch.from_bytes(random_files([100, 50]))
    before = batch.values.clone()
    build(SMALL)(batch)
    assert torch.equal(batch.values, before)


@pytest.mark.parametrize("wrong", [b"abc", torch.zeros(3, dtype=torch.uint8), ["a.tif"]])
def test_anything_but_a_batch_is_named(wrong: object) -> None:
    with pytest.raises((ValueError, jaxtyping.TypeCheckError), match="ByteBatch"):
        build(SMALL)(wrong)


def test_an_empty_batch_has_no_logits() -> None:
    assert build(SMALL)(ByteBatch.from_bytes([])).shape == (0, 5)


def test_a_learned_table_names_the_file_that_is_too_long() -> None:
    model = build(dataclasses.replace(SMALL, positions="learned", max_num_tokens=10))
    with pytest.raises(ValueError, match=r"11 tokens.*max_num_tokens=10.*sinusoidal"):
        model(ByteBatch.from_bytes(random_files([24])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 26}, "dim 26 is not divisible by num_heads 3"),
        ({"kernel_size": 5}, "kernel_size must be even.*5"),
        ({"kernel_size": 0}, "kernel_size must be even.*0"),
        ({"window_sizes": (8, 8)}, "window_sizes has 2 entries for 4 blocks"),
        ({"window_shifts": (0,)}, "window_shifts has 1 entries for 4 blocks"),
        ({"window_sizes": 0}, "at least 1 token, got 0"),
        ({"merge_after": (4,)}, "block 4.*0 to 3"),
        ({"num_classes": 0}, "num_classes must be a whole number of at least 1, got 0"),
        ({"num_classes": "10"}, "num_classes must be a whole number of at least 1, got '10'"),
        ({"mlp_ratio": 0}, "mlp_ratio 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
        ({"positions": "rotary"}, "'rotary'"),
        ({"numerics": "exact"}, "'exact'"),
        ({"initialisation": "zero"}, "'zero'"),
    ],
)
def test_a_contradictory_config_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ByteFormer(dataclasses.replace(SMALL, **change))  # type: ignore[arg-type]


def test_window_shifts_are_taken_as_given() -> None:
    """A shift that is a multiple of the window shifts nothing, as in the released configurations with w = 32."""
    still, shifted = (
        build(dataclasses.replace(SMALL, window_shifts=shifts)) for shifts in ((0, 0, 0, 0), (0, 16, 0, 16))
    )
    batch = ByteBatch.from_bytes(random_files([200, 77]))
    with torch.inference_mode():
        torch.testing.assert_close(still(batch), shifted(batch), atol=0, rtol=0)


def test_bfloat16_autocast_stays_close() -> None:
    model = build(SMALL)
    batch = ByteBatch.from_bytes(random_files([300, 120, 9]))
    with torch.inference_mode():
        exact = model(batch)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(batch)
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(batch).float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.filterwarnings("ignore")  # torch's own warnings, while it traces
def test_compiled_equals_eager() -> None:
    """Also when lengths change from call to call."""
    jaxtyping.config.update("jaxtyping_disable", True)  # checks of shapes cannot be traced
    model = build(dataclasses.replace(SMALL, depth=2, merge_after=(0,)))
    compiled = torch.compile(model, backend="aot_eager")
    try:
        for lengths in ([40, 31], [80, 17, 3], [64]):
            batch = ByteBatch.from_bytes(random_files(lengths))
            torch.testing.assert_close(compiled(batch), model(batch), atol=1e-5, rtol=1e-5)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_stochastic_depth_drops_whole_files_and_only_in_training() -> None:
    model = build(dataclasses.replace(SMALL, drop_path=0.9))
    batch = ByteBatch.from_bytes(random_files([50, 60]))
    torch.testing.assert_close(model(batch), model(batch), atol=0, rtol=0)
    model.train()
    counts = np.array([3, 5])
    drawn = {tuple(factors.flatten().tolist()) for _ in range(200) for factors in draw(model, 3, counts)}
    kept = 1 / (1 - 0.9)
    expected = {(a,) * 3 + (b,) * 5 for a in (0.0, kept) for b in (0.0, kept)}
    assert {tuple(round(value, 4) for value in factors) for factors in drawn} == {
        tuple(round(value, 4) for value in factors) for factors in expected
    }
    assert draw(model, 0, counts) == ()  # the rate grows from zero at the first block


def draw(model: ByteFormer, block: int, counts: np.ndarray) -> tuple[torch.Tensor, ...]:
    return model._stochastic_depth(block, torch.zeros(int(counts.sum()), 1), counts) or ()


def test_smooth_initialisation_places_near_bytes_near() -> None:
    rows = build(dataclasses.replace(SMALL, dim=96, initialisation="smooth")).stem.embedding[:256]
    distance = torch.cdist(rows, rows)
    assert distance.diagonal(1).mean() < 0.6 * distance.diagonal(100).mean()
    assert abs(rows.std().item() - 96**-0.5) < 1e-3


def test_initialisation_for_samples_tells_small_signed_values_apart_and_others_not() -> None:
    embedding = build(dataclasses.replace(SMALL, dim=96, initialisation="samples")).stem.embedding
    near, far = embedding[[0, 1, 4, 255, 252]], embedding[90:166]
    assert torch.cdist(near, near).fill_diagonal_(torch.inf).min() > 10 * torch.cdist(far, far).max()
    assert (embedding[256] == 0).all()
