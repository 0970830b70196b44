"""The page of masked language models, from made numbers; and the measuring, on a tiny run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anybyte.train.loop import train
from scripts.results_language import SENTENCES, main, page
from tests.train.test_language import tiny_recipe, with_data, write_text


def numbers(byte: float, word: float, bits: float) -> dict[str, object]:
    return {"bytes": 100, "words": 20, "byte_accuracy": byte, "word_accuracy": word, "bits_per_byte": bits}


def row(byte: float, bits: float) -> dict[str, object]:
    mixed = {"valid": bits - 0.2, "test": bits - 0.1}
    return {"valid": numbers(byte, 0.5, bits + 1), "test": numbers(byte, 0.25, bits), "share": 0.01, "mixed": mixed}


def results(model_bits: float = 4.5) -> dict[str, object]:
    run = {"recipe": "x", "seed": 0, "parameters": 976646, "vocabulary": 262, "tokens": 512, "steps": 1200, "batch": 8}
    run |= {"best_step": 1100, "minutes": 12.3, "step_gflops": 7.125, "total_pflops": 0.00855}
    run |= {"curve": [[400, 0.125, 5.5], [800, 0.15, 5.0], [1200, 0.2, 4.75]]}
    fills = [[sentence, [["Rome", 0.25], ["a | b", 0.125]]] for sentence in SENTENCES]
    rows = {"bytes": {**row(0.2, model_bits), "run": run, "fills": fills}, "ngram_both": row(0.15, 4.9)}
    about = {
        "train_bytes": 5_092_445,
        "valid_bytes": 200_000,
        "test_bytes": 1_256_449,
        "mask_seed": 0,
        "hardware": "h",
        "remark": "Made so.",
    }
    return {"about": about, "rows": rows}


def test_the_page_holds_what_was_measured() -> None:
    text = page(results())  # type: ignore[arg-type]
    assert "| Perceiver IO on bytes (`small/language_bytes`) | 20.0% | 25.0% | 4.500 | 4.400 | 0.01 |" in text
    assert "| byte 5-gram, from both sides | 15.0% | 25.0% | 4.900 | 4.800 | 0.01 |" in text
    assert "The model of bytes beats the 5-gram" in text
    assert "| bytes | 976,646 | 512 | 262 | 1,200 | 12 | 7.12 | 0.009 | 1,100 | 0 |" in text
    assert "`Rome` 25.0%" in text
    assert "5.09 MB" in text
    assert "minutes say little. Made so.\n" in text
    assert "SentencePiece (`small/" not in text, "a row that was not measured is not there"
    assert "does not beat" in page(results(5.5))  # type: ignore[arg-type]


def test_the_page_says_whether_the_operations_are_equal() -> None:
    made = results()
    rows = made["rows"]
    assert isinstance(rows, dict)
    assert "Both runs take the same" not in page(made)  # type: ignore[arg-type]
    rows["pieces"] = json.loads(json.dumps(rows["bytes"]))
    assert "Both runs take the same." in page(made)  # type: ignore[arg-type]
    rows["pieces"]["run"]["total_pflops"] = 0.006
    text = page(made)  # type: ignore[arg-type]
    assert "The run on pieces takes 70% of those of the run on bytes." in text
    assert "The weights on pieces are those of step 1,100" in text


def test_the_page_says_when_the_model_is_behind() -> None:
    own = {"this model": numbers(0.2, 0.1, 4.0), "byte 5-gram, from both sides": numbers(0.25, 0.1, 3.9)}
    text = page(results() | {"own": own})  # type: ignore[arg-type]
    assert "| Perceiver IO on bytes | 20.0% | 10.0% | 4.000 |" in text
    assert "the model is behind the 5-gram\nfrom both sides" in text
    assert "The novels themselves" not in page(results())  # type: ignore[arg-type]


def test_what_is_filled_in_does_not_break_the_table() -> None:
    lines = [line for line in page(results()).splitlines() if "Rome" in line]  # type: ignore[arg-type]
    assert len(lines) == len(SENTENCES)
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines)


def test_measures_a_run_and_keeps_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts").mkdir()
    write_text(tmp_path / "texts/a.txt", 60)
    for name in ("valid", "test"):
        write_text(tmp_path / f"{name}.txt", 8)
    train(with_data(tiny_recipe(tmp_path, crops=32), tmp_path))
    monkeypatch.setattr("scripts.results_language.SENTENCES", ("The ____ is.",))
    file = tmp_path / "results.json"
    common = ["--valid", str(tmp_path / "valid.txt"), "--test", str(tmp_path / "test.txt"), "--json", str(file)]
    assert main(["measure", "--bytes", str(tmp_path / "run"), *common, "--only", "bytes"]) == 0
    first = json.loads(file.read_text())["rows"]
    assert list(first) == ["bytes"]
    assert first["bytes"]["run"]["steps"] == 2
    assert first["bytes"]["run"]["step_gflops"] > 0
    train_text = ["--train", str(tmp_path / "texts/a.txt")]
    assert main(["measure", *train_text, *common, "--only", "ngram", "frequency"]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert rows["bytes"] == first["bytes"]
    assert rows["ngram_both"]["test"]["bytes"] == rows["bytes"]["test"]["bytes"]
    assert rows["frequency_bytes"]["test"]["words"] == rows["bytes"]["test"]["words"]
    assert main(["page", "--json", str(file), "--page", str(tmp_path / "page.md")]) == 0
    assert "byte 5-gram, told the true left context" in (tmp_path / "page.md").read_text()
    assert str(tmp_path) not in (tmp_path / "page.md").read_text()
