from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from anybyte import ByteBatch, create_model
from anybyte.batch import PADDING
from anybyte.models.rekey import rekey
from anybyte.privacy.permutation import Permutation
from tests.tiny_model import SHAPE

KEY = Permutation.random(3)
LENGTHS = (1, 2, 15, 16, 17, 300, 5000, 20_000)


def make_files() -> list[bytes]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, length, dtype=np.uint8).tobytes() for length in LENGTHS]


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = create_model(name, **(SHAPE if name.startswith("byteformer") else {"num_classes": 6}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)  # nothing is left at zero, as after training
    return model.eval()


@pytest.mark.parametrize("name", ["byteformer_nano", "perceiver_io_bytes_nano"])
def test_permuted_files_get_the_answers_of_plain_ones_bit_for_bit(name: str) -> None:
    model, files = build(name), make_files()
    changed = rekey(model, KEY)
    for batch in (files, *([file] for file in files)):  # long batches go by the table, short ones by the convolution
        for inference in (True, False):
            with torch.inference_mode(inference):
                plain = model(ByteBatch.from_bytes(batch))
                secret = changed(ByteBatch.from_bytes([KEY.apply(file) for file in batch]))
            assert torch.equal(plain, secret)


def test_answers_to_plain_files_and_under_other_keys_are_others() -> None:
    model, files = build("byteformer_nano"), make_files()
    changed = rekey(model, KEY)
    plain = model(ByteBatch.from_bytes(files))
    for key in (Permutation(bytes(range(256))), Permutation.random(4)):
        other = changed(ByteBatch.from_bytes([key.apply(file) for file in files]))
        assert not torch.isclose(plain, other).all(dim=1).any()


def test_the_model_itself_and_its_padding_stay() -> None:
    model = build("byteformer_nano")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    changed = rekey(model, KEY).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        if "embedding" not in name:
            assert torch.equal(tensor, changed[name])
    embedding, moved = before["stem.embedding"], changed["stem.embedding"]
    assert torch.equal(moved[PADDING], embedding[PADDING])
    for value in (0, 1, 255):
        assert torch.equal(moved[KEY.table[value]], embedding[value])


def test_keys_compose_and_can_be_taken_back() -> None:
    model, second = build("byteformer_nano"), Permutation.random(9)
    twice = rekey(rekey(model, KEY), second)
    once = rekey(model, second.compose(KEY))
    back = rekey(rekey(model, KEY), KEY.inverse)
    for name, tensor in model.state_dict().items():
        assert torch.equal(twice.state_dict()[name], once.state_dict()[name])
        assert torch.equal(back.state_dict()[name], tensor)


def test_a_model_that_reads_no_bytes_has_no_key() -> None:
    with pytest.raises(ValueError, match="a Linear of this configuration reads no bytes"):
        rekey(nn.Linear(2, 2), KEY)
