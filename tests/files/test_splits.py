from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.files.listing import PARTS, Part, Record, sort_classes
from anybyte.files.splits import divide, missing_classes


def records(counts: dict[str, int], part: Part | None = None, prefix: str = "") -> list[Record]:
    return [Record(f"{prefix}{name}/{i}", name, part, 1, None) for name, count in counts.items() for i in range(count)]


def names(parts: dict[Part, list[Record]]) -> dict[Part, list[str]]:
    return {part: [record.name for record in files] for part, files in parts.items()}


classes = st.dictionaries(st.sampled_from("abcdef"), st.integers(3, 40), min_size=1)
fractions = st.floats(0.01, 0.9)


@given(counts=classes, val=fractions, test=fractions, seed=st.integers(-3, 3))
def test_drawn_parts_are_disjoint_complete_and_hold_every_class(
    counts: dict[str, int], val: float, test: float, seed: int
) -> None:
    everything = records(counts)
    parts = divide(everything, val, test, seed)
    drawn = [record.name for part in PARTS for record in parts[part]]
    assert sorted(drawn) == sorted(record.name for record in everything)
    assert not missing_classes(parts, counts)


@given(counts=classes, order=st.randoms(use_true_random=False))
def test_the_draw_does_not_depend_on_the_order_of_the_files(counts: dict[str, int], order: random.Random) -> None:
    everything = records(counts)
    shuffled = everything.copy()
    order.shuffle(shuffled)
    first, second = divide(everything, 0.2, 0.2, 0), divide(shuffled, 0.2, 0.2, 0)
    assert {part: sorted(found) for part, found in names(first).items()} == {
        part: sorted(found) for part, found in names(second).items()
    }


def test_every_class_gives_its_share() -> None:
    parts = divide(records({"a": 100, "b": 1000}), 0.1, 0.2, 0)
    shares = {part: Counter(record.label for record in files) for part, files in parts.items()}
    assert shares == {"test": {"a": 20, "b": 200}, "val": {"a": 8, "b": 80}, "train": {"a": 72, "b": 720}}


def test_the_seed_decides() -> None:
    everything = records({"a": 50, "b": 50})
    assert divide(everything, 0.2, 0.2, 1) == divide(everything, 0.2, 0.2, 1)
    assert divide(everything, 0.2, 0.2, 1) != divide(everything, 0.2, 0.2, 2)


def test_the_draw_is_the_same_on_every_machine() -> None:
    parts = divide(records({"a": 8, "b": 8}), 0.25, 0.25, 0)
    assert names(parts)["test"] == ["a/0", "a/6", "b/4", "b/6"]
    assert names(parts)["val"] == ["a/1", "a/3", "b/1", "b/2"]


def test_a_new_file_leaves_the_others_where_they_were() -> None:
    few, more = records({"a": 100, "b": 100}), records({"a": 101, "b": 100})
    first, second = (names(divide(files, 0.1, 0.1, 0)) for files in (few, more))
    assert len(set(first["test"]) ^ set(second["test"])) <= 2


def test_own_parts_are_kept_and_only_the_missing_ones_drawn() -> None:
    train, val, test = (records({"a": 10, "b": 10}, part, f"{part}/") for part in PARTS)
    assert names(divide(train + val + test, 0.5, 0.5, 0)) == names({"train": train, "val": val, "test": test})

    parts = divide(train + test, 0.3, 0.5, 0)
    assert parts["test"] == test
    assert Counter(record.label for record in parts["val"]) == {"a": 3, "b": 3}
    assert {record.part for record in parts["val"]} == {"train"}

    parts = divide(train + val, 0.5, 0.25, 0)
    assert Counter(record.label for record in parts["test"]) == {"a": 5, "b": 5}
    assert {record.part for record in parts["test"]} == {"train", "val"}
    assert not missing_classes(parts, "ab")


def test_shares_of_parts_that_are_there_do_not_matter() -> None:
    train, val, test = (records({"a": 3, "b": 3}, part, f"{part}/") for part in PARTS)
    assert divide(train + val + test, 0, 7, 0)["train"] == train


@pytest.mark.parametrize("fraction", [1.0, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"data\.test_fraction is"):
        divide(records({"a": 9}), 0.1, fraction, 0)
    with pytest.raises(ValueError, match=r"data\.val_fraction is"):
        divide(records({"a": 9}), fraction, 0.1, 0)


def test_there_may_be_no_val_part_but_always_is_a_test() -> None:
    with pytest.raises(ValueError, match=r"data\.test_fraction is 0"):
        divide(records({"a": 9}), 0.1, 0.0, 0)
    parts = divide(records({"a": 9, "b": 3}), 0.0, 0.1, 0)
    assert not parts["val"]
    assert len(parts["train"]) + len(parts["test"]) == 12
    assert not missing_classes(parts, "ab")


def test_classes_of_a_label_must_all_be_learnt_from() -> None:
    train = records({"a;b": 2, "c": 2}, "train", "train/")
    test = records({"b": 1, "a; c": 1, "d;c": 1}, "test", "test/")
    parts = divide(train + test, 0.0, 0.1, 0)
    assert missing_classes(parts, (), ";") == [("d", "train")]
    assert ("a; c", "train") in missing_classes(parts, ["a; c"])


def test_a_data_set_without_a_train_part_is_refused() -> None:
    with pytest.raises(ValueError, match="no train part; parts found: val, test"):
        divide(records({"a": 3}, "val", "v") + records({"a": 3}, "test", "t"), 0.1, 0.1, 0)


def test_a_class_of_two_cannot_be_in_three_parts() -> None:
    parts = divide(records({"a": 2, "b": 3}), 0.1, 0.1, 0)
    assert missing_classes(parts, "ab") == [("a", "test")]


def test_classes_that_are_numbers_are_ordered_by_number() -> None:
    assert sort_classes(["10", "9", "1"]) == ("1", "9", "10")
    assert sort_classes(["10", "9", "x"]) == ("10", "9", "x")
    assert sort_classes(["Cat", "cat", "Dog"]) == ("Cat", "Dog", "cat")
