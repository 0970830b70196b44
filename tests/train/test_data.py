"""Which files each step reads, and what becomes of them on the way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.config import AugmentConfig, ReadingConfig
from anybyte.files.media import encode_audio, encode_image
from anybyte.reading import ByteReading
from anybyte.tasks import Sample
from anybyte.tasks.classify import Classify
from anybyte.train.data import NO_EPOCH, Deal, Files, Keyed, Part, Plan, Problem, load_parts, planned_sizes

from .standins import MemorySource, make_files

SIZES = st.lists(st.integers(1, 5000), max_size=300).map(lambda sizes: np.array(sizes, dtype=np.int64))


def flat(batches: Sequence[np.ndarray]) -> list[int]:
    return [int(index) for batch in batches for index in batch]


@given(SIZES, st.integers(1, 20), st.integers(1, 8000), st.integers(0, 3))
def test_every_file_once_within_the_budget(sizes: np.ndarray, files: int, budget: int, epoch: int) -> None:
    plan = Plan(sizes, files, budget, seed=0)
    for batches in (plan.epoch(epoch), plan.in_order()):
        assert sorted(flat(batches)) == list(range(len(sizes)))
        for batch in batches:
            assert 1 <= len(batch) <= files
            assert len(batch) == 1 or sizes[batch].sum() <= budget


@given(SIZES, st.integers(1, 4), st.integers(1, 3), st.integers(0, 5))
def test_processes_and_parts_share_out_each_batch(sizes: np.ndarray, world: int, parts: int, skip: int) -> None:
    plan = Plan(sizes, batch_files=7, batch_bytes=9000, seed=1)
    whole = [*plan.epoch(0)[skip:], *plan.epoch(1)]
    dealt = [list(Deal(plan, range(2), rank, world, parts, skip)) for rank in range(world)]
    assert {len(keys) for keys in dealt} == {len(whole) * parts}, "every process has as many parts"
    for number, batch in enumerate(whole):
        pieces = [keys for rank in dealt for keys in rank[number * parts : (number + 1) * parts]]
        assert all(pieces)
        assert sorted(index for piece in pieces for _, index in piece if index >= 0) == sorted(batch.tolist())


def test_epochs_and_seeds_shuffle_differently() -> None:
    sizes = np.random.default_rng(0).integers(1, 1000, 500)
    orders = [flat(Plan(sizes, 8, 10**6, seed).epoch(epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] == flat(Plan(sizes, 8, 10**6, 0).epoch(0))


def test_batches_are_of_files_of_all_lengths_and_never_the_same() -> None:
    rng = np.random.default_rng(0)
    sizes = np.concatenate([rng.integers(100, 400, 1000), rng.integers(8000, 30_000, 600)])  # pictures and sounds
    plan = Plan(sizes, batch_files=32, batch_bytes=10**9, seed=0)
    first, second = plan.epoch(0), plan.epoch(1)
    assert len(first) == len(second) == 50
    for batch in first:
        assert 0.05 < (sizes[batch] > 1000).mean() < 0.75, "each batch is much like the whole, 3/8 of which is long"
        assert (np.diff(sizes[batch]) >= 0).all(), "dealt one by one, files even out the processes' work"
    together = [{frozenset(pair) for batch in batches for pair in pairwise(batch)} for batches in (first, second)]
    assert len(together[0] & together[1]) < 0.05 * len(together[0])
    assert not {frozenset(batch) for batch in first} & {frozenset(batch) for batch in second}


def test_files_over_the_budget_do_not_cut_the_others_batches_short() -> None:
    sizes = np.tile([10, 10, 10, 1000], 64)
    batches = Plan(sizes, batch_files=16, batch_bytes=500, seed=0).epoch(0)
    assert sorted(len(batch) for batch in batches) == [1] * 64 + [16] * 12


@pytest.mark.parametrize(("files", "size"), [(0, 10), (10, 0)])
def test_refuses_empty_batches(files: int, size: int) -> None:
    with pytest.raises(ValueError, match="at least one file and one byte"):
        Plan(np.ones(3, dtype=np.int64), files, size, 0)


def noisy_sounds(count: int) -> MemorySource:
    rng = np.random.default_rng(0)
    sounds = [rng.uniform(-0.5, 0.5, 400 + 10 * number).astype(np.float32) for number in range(count)]
    return MemorySource([(f"{n}.wav", n % 3, encode_audio(sound, 8000, "wav")) for n, sound in enumerate(sounds)])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # torch forks its workers
def test_augmentation_is_a_files_own() -> None:
    files = Files(
        noisy_sounds(12), ByteReading(ReadingConfig(format="wav:s16"), AugmentConfig(gain_db=6, noise_db=-20))
    )
    plan = Plan(files.sizes(), 4, 10**6, 0)
    task, runs = Classify(files.source.classes), []
    for workers, world in ((0, 1), (2, 1), (0, 2)):
        contents = {}
        for rank in range(world):
            deal = Deal(plan, range(2), rank, world, parts=1)
            for number, part in enumerate(load_parts(files, task, deal, seed=5, num_workers=workers)):
                epoch = number // 3
                for index, data in zip(part.indices, part.inputs.split(), strict=True):
                    contents[epoch, index] = data.numpy().tobytes()
        runs.append(contents)
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0]) == 24
    assert all(runs[0][0, index] != runs[0][1, index] for index in range(12)), "each epoch draws anew"


def test_validation_files_are_not_augmented() -> None:
    files = Files(noisy_sounds(1), ByteReading(augment=AugmentConfig(gain_db=6)))
    keyed = Keyed(files, seed=0)
    (_, plain), (_, changed) = keyed[NO_EPOCH, 0], keyed[0, 0]
    assert isinstance(plain, Sample)
    assert isinstance(changed, Sample)
    assert plain.data == files.source.read(0) != changed.data


def test_a_bad_file_is_named_and_left_out_of_its_part() -> None:
    files = Files(MemorySource([*make_files(3, 0), ("empty", 0, b"")], broken=["low/0-0"]), ByteReading())
    deal = Deal(Plan(np.ones(4, dtype=np.int64), 4, 100, 0), [NO_EPOCH], 0, 1, 1)
    (part,) = load_parts(files, Classify(files.source.classes), deal, seed=0)
    assert isinstance(part, Part)
    assert part.indices == (1, 2)
    assert len(part.inputs) == len(part.targets) == 2
    assert [str(problem) for problem in part.problems] == ["low/0-0: Input/output error", "empty: the file is empty"]


def test_a_part_without_files_is_a_placeholder() -> None:
    files = Files(MemorySource(make_files(2, 0), broken=["low/0-0", "middle/0-1"]), ByteReading())
    plan = Plan(np.ones(2, dtype=np.int64), 2, 100, 0)
    for deal in (Deal(plan, [0], 2, 3, 1), Deal(plan, [0], 0, 1, 1)):  # dealt nothing; dealt only bad files
        (part,) = load_parts(files, Classify(files.source.classes), deal, seed=0)
        assert part.is_placeholder
        assert len(part.inputs) == 1
        assert part.num_bytes == 0


def test_problem_names_a_file_once() -> None:
    assert str(Problem("a.wav", "a.wav: cut short")) == "a.wav: cut short"


class TestPlannedSizes:
    def test_as_stored(self) -> None:
        source = MemorySource(make_files(50, 0))
        assert planned_sizes(source, ByteReading()).tolist() == [entry.size for entry in source.entries]

    def test_encoded_to_one_size(self) -> None:
        rng = np.random.default_rng(0)
        pictures = [rng.integers(0, 1 + 50 * n, (8, 8, 3), dtype=np.uint8) for n in range(5)]
        source = MemorySource([(f"{n}.png", n % 3, encode_image(p, "png")) for n, p in enumerate(pictures)])
        transform = ByteReading(ReadingConfig(format="tiff"))
        assert set(planned_sizes(source, transform)) == {len(transform(source.read(0), "", None))}

    def test_encoded_to_sizes_that_follow_the_stored_ones(self) -> None:
        source = noisy_sounds(60)
        transform = ByteReading(ReadingConfig(format="wav:s16"))
        exact = np.array([len(transform(source.read(index), "", None)) for index in range(60)])
        assert planned_sizes(source, transform) == pytest.approx(exact, rel=0.1)

    def test_broken_files_do_not_matter(self) -> None:
        source = MemorySource(make_files(3, 0), broken=[name for name, _, _ in make_files(3, 0)])
        assert planned_sizes(source, ByteReading()).tolist() == [entry.size for entry in source.entries]
