from __future__ import annotations

from pathlib import Path

import pytest

from anybyte.files.glue import TASKS, UNKNOWN, Example, find_part, find_task_folder, read_examples

TSV = {
    "cola": (
        "dev.tsv",
        ["gj04\t1\t\tThe cat sat.", "gj04\t0\t*\tCat the sat."],
        [("The cat sat.", None, 1), ("Cat the sat.", None, 0)],
    ),
    "sst2": ("dev.tsv", ["sentence\tlabel", "a fine film \t1"], [("a fine film ", None, 1)]),
    "mrpc": (
        "msr_paraphrase_test.txt",
        ["\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", '1\t12\t13\tHe said "no.\tHe said no.'],
        [('He said "no.', "He said no.", 1)],
    ),
    "stsb": (
        "dev.tsv",
        [
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
            "0\tnews\tf\t2012\t3\tnone\tnone\tA man.\tA dog.\t0.75",
        ],
        [("A man.", "A dog.", 0.75)],
    ),
    "qqp": (
        "dev.tsv",
        ["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t2\t3\tWhy?\tHow?\t0"],
        [("Why?", "How?", 0)],
    ),
    "mnli": (
        "dev_matched.tsv",
        [
            "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
            "sentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label",
            "0\t1\t1e\tslate\t(\t(\t(\t(\tIt rains.\tIt pours.\tneutral\tcontradiction",
        ],
        [("It rains.", "It pours.", 2)],
    ),
    "qnli": ("dev.tsv", ["index\tquestion\tsentence\tlabel", "0\tWho?\tMe.\tnot_entailment"], [("Who?", "Me.", 1)]),
    "rte": (
        "dev.tsv",
        ["index\tsentence1\tsentence2\tlabel", "0\tRain.\tWater.\tentailment"],
        [("Rain.", "Water.", 0)],
    ),
    "wnli": (
        "dev.tsv",
        ["index\tsentence1\tsentence2\tlabel", "0\tI drop it.\tIt falls.\t1"],
        [("I drop it.", "It falls.", 1)],
    ),
}
"""Task -> the name of a file of GLUE's own, its lines, and what they say."""


def write(path: Path, lines: list[str] | list[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))
    return path


@pytest.mark.parametrize("task", TASKS)
def test_glues_own_tables(tmp_path: Path, task: str) -> None:
    name, lines, expected = TSV[task]
    path = write(tmp_path / TASKS[task].title / name, lines)
    part = "test" if "test" in name else "dev"
    assert find_part(tmp_path, task, part) == [(task, path)]
    found = read_examples(path, task)
    assert found == [
        Example(first.encode(), None if second is None else second.encode(), label) for first, second, label in expected
    ]


def test_json_lines_with_any_line_end_inside(tmp_path: Path) -> None:
    path = write(tmp_path / "rte/dev.jsonl", ['{"sentence1": "a\u2028b", "sentence2": "c", "label": 1, "idx": 7}'])
    assert read_examples(path, "rte") == [Example("a\u2028b".encode(), b"c", 1.0)]


def test_a_label_may_be_written_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.jsonl", ['{"sentence1": "a", "sentence2": "c", "label": "contradiction"}'])
    assert read_examples(path, "mnli")[0].label == 2


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
def test_bytes_that_are_not_utf8_stay_as_they_are(tmp_path: Path, suffix: str) -> None:
    lines = [b"sentence\tlabel", b"caf\xe9\t1"] if suffix == ".tsv" else [b'{"sentence1": "caf\xe9", "label": 1}']
    path = write(tmp_path / f"dev{suffix}", lines)
    assert read_examples(path, "sst2") == [Example(b"caf\xe9", None, 1.0)]


def test_test_parts_without_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "test.tsv", ["index\tsentence", "0\tA line."])
    assert read_examples(path, "sst2") == [Example(b"A line.", None, UNKNOWN)]
    assert read_examples(path, "cola") == [Example(b"A line.", None, UNKNOWN)]


def test_both_parts_of_mnli(tmp_path: Path) -> None:
    for name in ("dev_matched.tsv", "dev_mismatched.tsv"):
        write(tmp_path / "MNLI" / name, TSV["mnli"][1])
    assert [part for part, _ in find_part(tmp_path, "mnli", "dev")] == ["mnli", "mnli_mm"]
    assert find_part(tmp_path, "mnli", "train") == []


def test_the_folder_of_a_task_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "SST-2").mkdir()
    (tmp_path / "sts_b").mkdir()
    assert find_task_folder(tmp_path, "sst2") == tmp_path / "SST-2"
    assert find_task_folder(tmp_path, "stsb") == tmp_path / "sts_b"
    assert find_task_folder(tmp_path / "SST-2", "sst2") == tmp_path / "SST-2"
    with pytest.raises(ValueError, match=r"has no folder of the task 'rte': expected .*rte or .*RTE"):
        find_task_folder(tmp_path, "rte")
    with pytest.raises(FileNotFoundError, match="no such folder of GLUE"):
        find_task_folder(tmp_path / "none", "rte")


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("dev.tsv", ["index\tsentence1\tlabel"], r"dev.tsv, line 1: there is no column 'sentence2' of RTE; there are"),
        ("dev.tsv", [], r"dev.tsv is empty: expected rows of RTE, with tabs between columns"),
        ("dev.tsv", ["index\tsentence1\tsentence2"], r"line 1: there is no column 'label' of RTE"),
        ("dev.tsv", [*TSV["rte"][1], "1\tonly two"], r"dev.tsv, line 3: expected 4 columns between tabs, got 2"),
        (
            "dev.tsv",
            [TSV["rte"][1][0], "0\ta\tb\tmaybe"],
            r"line 2, column 'label': RTE has the labels 0 \(entailment\)",
        ),
        ("dev.tsv", [TSV["rte"][1][0], "0\ta\t \tentailment"], r"line 2, column 'sentence2': the sentence is empty"),
        ("dev.jsonl", ["{"], r"dev.jsonl, line 1: not JSON"),
        ("dev.jsonl", ["[]"], r"line 1: expected an object with sentence1, sentence2, label"),
        ("dev.jsonl", ['{"sentence1": "a", "label": 1}'], r"line 1: there is no column 'sentence2'"),
        ("dev.jsonl", ['{"sentence1": "a", "sentence2": 3, "label": 1}'], r"column 'sentence2': expected a sentence"),
        ("dev.jsonl", ['{"sentence1": "a", "sentence2": "b", "label": 2}'], r"column 'label': .*, got 2"),
        ("dev.jsonl", ['{"sentence1": "a", "sentence2": "b", "label": true}'], r"column 'label': .*, got True"),
        ("dev.jsonl", ['{"sentence1": "\\ud800", "sentence2": "b", "label": 1}'], r"half of a surrogate pair"),
        ("dev.jsonl", [], r"dev.jsonl: there is no example of RTE in it"),
    ],
)
def test_mistakes_name_file_line_and_column(tmp_path: Path, name: str, lines: list[str], message: str) -> None:
    path = write(tmp_path / name, lines)
    with pytest.raises(ValueError, match=message):
        read_examples(path, "rte")


def test_scores_lie_between_0_and_5(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.jsonl", ['{"sentence1": "a", "sentence2": "b", "label": 5.5}'])
    with pytest.raises(ValueError, match=r"STS-B has scores from 0 to 5, got 5.5"):
        read_examples(path, "stsb")


def test_one_sentence_is_not_two(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.jsonl", ['{"sentence1": "a", "sentence2": "b", "label": 1}'])
    with pytest.raises(ValueError, match=r"column 'sentence2': SST-2 has one sentence"):
        read_examples(path, "sst2")


def test_bad_lines_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tsv", [*TSV["qqp"][1], "9\tbroken"])
    problems: list[str] = []
    assert len(read_examples(path, "qqp", problems)) == 1
    assert problems == [f"{path}, line 3: expected 6 columns between tabs, got 2"]


@pytest.mark.shared
def test_every_file_of_the_real_data(shared: Path) -> None:
    counts = {
        f"{task}/{part}": len(read_examples(path, task))
        for task in TASKS
        for part in ("train", "dev", "test")
        for _, path in find_part(shared / "glue", task, part)
    }
    assert counts["sst2/train"] == 67_349
    assert counts["mrpc/test"] == 1_725
    assert counts["stsb/dev"] == 1_500
    assert len(counts) == 9 + 8 + 3
