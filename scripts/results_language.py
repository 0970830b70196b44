"""Measures masked language models and a byte 5-gram on the same missing words, and writes the page of the results.

    python scripts/results_language.py measure --bytes RUN --pieces RUN --valid valid.txt --test test.txt
    python scripts/results_language.py page

`measure` writes docs/results/language.json, row by row: `--only bytes` measures one anew and keeps the others. All that
is chosen (the share of a uniform distribution that answers are mixed with) is chosen on the validation text. `page`
writes docs/results/language.md from it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from anybyte.config import MaskedConfig, Recipe
from anybyte.evaluate.language import (
    NGRAM_ROWS,
    ORDER,
    SEED,
    UNIFORM_SHARES,
    Answered,
    Missing,
    answer_model,
    answer_ngram,
    masked_windows,
)
from anybyte.evaluate.ngram import ByteNgram
from anybyte.files.text import Texts, open_text, open_texts
from anybyte.models.perceiver import Perceiver
from anybyte.models.pieces import PieceTokenizer, has_pieces, read_pieces
from anybyte.models.tokenizer import BYTE_OFFSET, ByteTokenizer
from anybyte.models.zoo import load_pretrained
from anybyte.predictor import TextPredictor, load_as
from anybyte.train.data import Collate, Keyed
from anybyte.train.jobs import make_job
from anybyte.train.progress import read_log
from anybyte.train.settings import read_recipe

RESULTS = Path(__file__).parents[1] / "docs/results"
MODELS = ("bytes", "pieces")
SENTENCES = (
    "The capital of ____ is Paris.",
    "She was the most ______ woman that he had ever seen.",
    "The captain gave orders to lower the _____ into the sea.",
    "The film was released in ____ and received mixed reviews .",
)
HARDWARE = "2 cores of an AMD EPYC (Zen 4), shared; one thread a run; torch 2.13 CPU, bfloat16"
FLOP_BATCHES = 4


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    file = Path(options.json)
    if options.what == "page":
        Path(options.page).write_text(page(json.loads(file.read_text())))
        return 0
    results = json.loads(file.read_text()) if file.exists() else {}
    results = measure(options, results)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="what", required=True)
    measure = verbs.add_parser("measure")
    measure.add_argument("--bytes", metavar="RUN", help="folder of the run on bytes")
    measure.add_argument("--pieces", metavar="RUN", help="folder of the run on pieces")
    measure.add_argument("--train", metavar="TEXT", help="text to count n-grams and pieces in (that of the runs)")
    measure.add_argument("--valid", required=True)
    measure.add_argument("--test", required=True)
    measure.add_argument("--limit", type=int, help="the first so many bytes of each text")
    measure.add_argument("--own", metavar="REPORT", help="report.json of `anybyte evaluate` on the held-out novels")
    measure.add_argument("--remark", help="a sentence on how the runs were made (that of before, if there is one)")
    measure.add_argument("--only", nargs="*", choices=(*MODELS, "ngram", "frequency"), help="rows to measure (all)")
    page_ = verbs.add_parser("page")
    page_.add_argument("--page", default=str(RESULTS / "language.md"))
    for verb in (measure, page_):
        verb.add_argument("--json", default=str(RESULTS / "language.json"))
    return parser


def measure(options: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """The results with the rows that the options ask for measured anew."""
    parts = {
        part: Missing.of(_documents(getattr(options, part), options.limit), MaskedConfig().probability)
        for part in ("valid", "test")
    }
    wanted = options.only or [*MODELS, "ngram", "frequency"]
    rows: dict[str, Any] = results.get("rows", {})
    runs = {name: getattr(options, name) for name in MODELS}
    recipes = {name: read_recipe(Path(run) / "recipe.json") for name, run in runs.items() if run}
    train = options.train or next(recipe.data.path for recipe in recipes.values())
    for name in MODELS:
        if name in wanted and runs[name]:
            print(f"model of {name}", file=sys.stderr)
            rows[name] = _model_row(Path(runs[name]), recipes[name], parts)
    texts = _training(train)
    if "ngram" in wanted:
        print(f"byte {ORDER}-gram", file=sys.stderr)
        model = ByteNgram(texts, ORDER)
        found = {part: answer_ngram(model, missing) for part, missing in parts.items()}
        rows |= {f"ngram_{given}": _both({part: rows_[given] for part, rows_ in found.items()}) for given in NGRAM_ROWS}
    if "frequency" in wanted:
        tokenizers: dict[str, Any] = {"bytes": ByteTokenizer(max_length=None)}
        if runs["pieces"]:
            tokenizers["pieces"] = read_pieces(Path(runs["pieces"]) / "model")
        for name, tokenizer in tokenizers.items():
            found = {part: _frequent(tokenizer, texts, missing) for part, missing in parts.items()}
            rows[f"frequency_{name}"] = _both(found)
    about = {
        "train_bytes": sum(map(len, texts)),
        "valid_bytes": sum(map(len, parts["valid"].texts)),
        "test_bytes": sum(map(len, parts["test"].texts)),
        "mask_seed": SEED,
        "hardware": HARDWARE,
        "remark": results.get("about", {}).get("remark", "") if options.remark is None else options.remark,
    }
    own = results.get("own") if options.own is None else json.loads(Path(options.own).read_text())["rows"]
    return {"about": about, "rows": rows} | ({} if own is None else {"own": own})


def _documents(path: str, limit: int | None) -> list[bytes]:
    found = open_text(path)
    whole = [found.read(document) for document in found.documents]
    return whole if limit is None else [text[:limit] for text in whole]


def _training(path: str) -> list[bytes]:
    sources = open_texts(path).train.sources
    return [source.read(document) for source in sources if isinstance(source, Texts) for document in source.documents]


def _both(found: dict[str, Answered]) -> dict[str, Any]:
    """Numbers on both texts, and the share of a uniform distribution that suits the validation text best."""
    share = min(UNIFORM_SHARES, key=found["valid"].bits_per_byte)
    row: dict[str, Any] = {part: answered.numbers() for part, answered in found.items()}
    row["share"] = share
    row["mixed"] = {part: answered.bits_per_byte(share) for part, answered in found.items()}
    return row


def _model_row(run: Path, recipe: Recipe, parts: dict[str, Missing]) -> dict[str, Any]:
    folder = run / "model"
    model, _ = load_pretrained(folder)
    assert isinstance(model, Perceiver)
    tokenizer = read_pieces(folder) if has_pieces(folder) else ByteTokenizer(max_length=None)
    row = _both({part: answer_model(model.eval(), tokenizer, missing) for part, missing in parts.items()})
    log = read_log(run / "log.jsonl")
    steps = max(int(line["step"]) for line in log)
    flops = step_flops(recipe, folder)
    best = max((line for line in log if line["event"] == "validation" and line["best"]), key=lambda line: line["step"])
    row["run"] = {
        "recipe": recipe.name,
        "seed": recipe.run.seed,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": tokenizer.vocabulary if isinstance(tokenizer, PieceTokenizer) else 256 + BYTE_OFFSET,
        "tokens": model.config.inputs[0].max_length,
        "steps": steps,
        "batch": recipe.run.batch_files,
        "best_step": best["step"],
        "minutes": best["minutes"] if best["step"] == steps else log[-2].get("minutes", best["minutes"]),
        "step_gflops": flops / 1e9,
        "total_pflops": flops * steps / 1e15,
        "curve": [
            [line["step"], line["byte_accuracy"], line["bits_per_byte"]]
            for line in log
            if line["event"] == "validation"
        ],
    }
    row["fills"] = _fills(folder)
    return row


def step_flops(recipe: Recipe, folder: Path) -> float:
    """Floating-point operations of a training step, forward and backward, attention included; the mean of a few."""
    assert isinstance(recipe.task, MaskedConfig)
    if recipe.task.pieces is not None:
        recipe = replace(recipe, task=replace(recipe.task, pieces=str(folder)))
    job = make_job(recipe)
    assert isinstance(job.recipe.model, type(recipe.model))
    model, examples, collate = Perceiver(job.recipe.model), Keyed(job.train, 0), Collate(job.task, job.train)
    counted, batch = 0, recipe.run.batch_files
    for number in range(FLOP_BATCHES):
        part = collate([examples[(0, number * batch + index)] for index in range(batch)])
        # The counter does not know the fused kernel of processors; this form is the same products.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            loss, _ = job.task.loss(model, part.inputs, part.targets)
            loss.backward()
        counted += counter.get_total_flops()
    return counted / FLOP_BATCHES


def _fills(folder: Path) -> list[list[Any]]:
    """Sentences, and the best candidates for their blanks."""
    predictor = load_as(TextPredictor, folder, device="cpu")
    return [
        [sentence, [[each.text, each.probability] for each in predictor.fill(sentence, top=3).blanks[0].candidates]]
        for sentence in SENTENCES
    ]


def _frequent(tokenizer: Any, texts: list[bytes], missing: Missing) -> Answered:
    """The answer that knows nothing of its surroundings: how often each token stands in a word of the training text."""
    everything = Missing(tuple(texts), tuple(np.ones(len(text), dtype=bool) for text in texts))
    vocabulary = tokenizer.vocabulary if isinstance(tokenizer, PieceTokenizer) else 256 + BYTE_OFFSET
    whole = Missing.of(everything.texts, 1.0)
    counts = np.ones(vocabulary)
    for (_, _, true, _), _ in masked_windows(tokenizer, whole, 2**16):
        counts += np.bincount(true, minlength=vocabulary)
    chances = counts / counts.sum()
    windows = list(masked_windows(tokenizer, missing, 2**16))
    true = np.concatenate([window[2] for window, _ in windows])
    sizes, words = (np.concatenate([pair[0][3] if size else pair[1] for pair in windows]) for size in (True, False))
    return Answered(chances[true], true == chances.argmax(), sizes, words, vocabulary)


def page(results: dict[str, Any]) -> str:
    """The page, from what was measured."""
    about, rows = results["about"], results["rows"]
    titles = {
        "bytes": "Perceiver IO on bytes (`small/language_bytes`)",
        "pieces": "Perceiver IO on SentencePiece (`small/language_pieces`)",
        "ngram_both": f"byte {ORDER}-gram, from both sides",
        "ngram_left": f"byte {ORDER}-gram, from the left",
        "ngram_told": f"byte {ORDER}-gram, told the true left context",
        "frequency_bytes": "frequency of bytes",
        "frequency_pieces": "frequency of pieces",
    }
    there = {name: title for name, title in titles.items() if name in rows}
    return "\n".join(
        [
            "# Masked language models, small",
            "",
            _intro(about),
            "",
            "## WikiText-2, test",
            "",
            *_table(rows, there, "test"),
            "",
            _reading(rows),
            "",
            "## WikiText-2, valid: what was chosen on",
            "",
            *_table(rows, there, "valid"),
            "",
            *_own_world(results.get("own")),
            "## The runs",
            "",
            *_runs(rows, about["remark"]),
            "",
            "## What they fill in",
            "",
            *_filled(rows),
            "",
            "## Again",
            "",
            *_commands(),
            "",
        ]
    )


def _intro(about: dict[str, Any]) -> str:
    shares = ", ".join(f"{share:g}" for share in UNIFORM_SHARES)
    train, test, valid = (f"{about[f'{part}_bytes'] / 1e6:.2f} MB" for part in ("train", "test", "valid"))
    return f"""\
Trained on three novels (*Pride and Prejudice*, *Moby Dick*, *War and Peace* from Project Gutenberg, licence texts
included, all but the last 5% of each: {train}), measured on WikiText-2's test text (the first {test}), which is
another world: encyclopaedia articles, tokenised, with signs that no novel has (`<unk>`, ` @-@ `). Words between white
space are masked with a probability of 15% each, drawn once (seed {about["mask_seed"]}).
**All rows are asked for the same words.** Weights were chosen on the novels' last 5% and WikiText-2's valid text
together; the table of the latter is over the first {valid} of it. The test text was looked at once.

- *bytes right*, *words right*: share of the masked bytes, and of the masked words with all their bytes, that are the
  most probable answer. A piece that is right counts all its masked bytes.
- *bits a byte*: of the true tokens, by the masked bytes. *mixed*: with the answers mixed with a uniform distribution,
  in that share of {shares} which was best on the valid text, for every row alike.
  It bounds the price of bytes that the novels do not hold."""


def _table(rows: dict[str, Any], titles: dict[str, str], part: str) -> list[str]:
    lines = [
        "| | bytes right | words right | bits a byte | mixed | share |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, title in titles.items():
        row, one = rows[name], rows[name][part]
        lines.append(
            f"| {title} | {one['byte_accuracy']:.1%} | {one['word_accuracy']:.1%} | {one['bits_per_byte']:.3f} "
            f"| {row['mixed'][part]:.3f} | {row['share']:g} |"
        )
    return lines


def _reading(rows: dict[str, Any]) -> str:
    given = """\
What each is given differs, and so do the tasks:

- bytes: the number of bytes of each masked word, and all other words of 512 bytes;
- pieces: the number of *pieces* of each masked word, and all other words of 128 pieces. That the missing string is one
  of 4,000, or two of them, is told by the way it is cut: see what their frequencies alone reach in bits a byte. So
  between these two kinds of models compare the accuracies, not the bits;
- 5-gram from both sides: as for bytes, the masked bytes summed out over all strings (forward-backward), with the four
  bytes on either side that it can see. From the left: what is behind a word is not used;
- 5-gram told the true left context: each masked byte with the true bytes before it, those of its own word among them.
  No masked language model sees these: this row is for orientation, it is not a competitor."""
    if "bytes" not in rows or "ngram_both" not in rows:
        return given
    model, ngram = rows["bytes"], rows["ngram_both"]
    better = (
        model["test"]["byte_accuracy"] > ngram["test"]["byte_accuracy"]
        and model["mixed"]["test"] < ngram["mixed"]["test"]
    )
    verdict = "beats" if better else "does not beat"
    one, other = model["test"], ngram["test"]
    return "\n".join(
        [
            given,
            "",
            f"The model of bytes {verdict} the {ORDER}-gram of the same information (both sides):",
            f"{one['byte_accuracy']:.1%} against {other['byte_accuracy']:.1%} of the bytes, "
            f"{model['mixed']['test']:.3f} against {ngram['mixed']['test']:.3f} bits a byte.",
            f"Of whole words it finds {one['word_accuracy']:.1%} against {other['word_accuracy']:.1%}.",
            f"{one['bytes']:,} bytes of {one['words']:,} words are masked. Were they independent, the standard error",
            f"of the share of right bytes would be {_standard_error(one):.2f} points; bytes of one word are not, so",
            "it is somewhat more.",
        ]
    )


def _standard_error(numbers: dict[str, Any]) -> float:
    """Of the share of right bytes, in points."""
    share = float(numbers["byte_accuracy"])
    return float(np.sqrt(share * (1 - share) / numbers["bytes"])) * 100


def _own_world(own: dict[str, Any] | None) -> list[str]:
    """The table on held-out text of the training's own kind, if it was measured."""
    if own is None:
        return []
    model, ngram = own["this model"], own[f"byte {ORDER}-gram, {NGRAM_ROWS['both']}"]
    is_ahead = model["byte_accuracy"] > ngram["byte_accuracy"]
    return [
        "## The novels themselves: the last 5% of each",
        "",
        "| | bytes right | words right | bits a byte |",
        "|---|---:|---:|---:|",
        *(
            f"| {'Perceiver IO on bytes' if name == 'this model' else name} | {one['byte_accuracy']:.1%} "
            f"| {one['word_accuracy']:.1%} | {one['bits_per_byte']:.3f} |"
            for name, one in own.items()
        ),
        "",
        f"The first 100,000 bytes of them, {model['bytes']:,} masked, licence texts among them. Where the text is of",
        f"the kind that n-grams were counted in, the model is {'ahead of' if is_ahead else 'behind'} the {ORDER}-gram",
        "from both sides in the share of right bytes.",
        "",
    ]


def _runs(rows: dict[str, Any], remark: str) -> list[str]:
    lines = [
        "| | parameters | tokens | vocabulary | steps of 8 | minutes | GFLOP a step | PFLOP | best step | seed |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in MODELS:
        if name in rows:
            run = rows[name]["run"]
            lines.append(
                f"| {name} | {run['parameters']:,} | {run['tokens']} | {run['vocabulary']:,} | {run['steps']:,} "
                f"| {run['minutes']:.0f} | {run['step_gflops']:.2f} | {run['total_pflops']:.3f} | {run['best_step']:,} "
                f"| {run['seed']} |"
            )
    return [
        *lines,
        "",
        "Floating-point operations are those of training, forward and backward, counted by torch's `FlopCounterMode`, "
        f"attention included.{_equal_flops(rows)}",
        "",
        f"Hardware: {HARDWARE}; other work ran beside, so minutes say little. {remark}".rstrip(),
    ]


def _equal_flops(rows: dict[str, Any]) -> str:
    """How the operations of the two runs compare."""
    if not all(name in rows for name in MODELS):
        return ""
    bytes_, pieces = (rows[name]["run"] for name in MODELS)
    share = pieces["total_pflops"] / bytes_["total_pflops"]
    is_equal = abs(share - 1) < 0.02
    line = (
        " Both runs take the same."
        if is_equal
        else f" The run on pieces takes {share:.0%} of those of the run on bytes."
    )
    if pieces["best_step"] < pieces["steps"]:
        line += f" The weights on pieces are those of step {pieces['best_step']:,}: later validations were no better."
    return line


def _filled(rows: dict[str, Any]) -> list[str]:
    lines = ["| sentence | bytes | pieces |", "|---|---|---|"]
    found = {name: dict(map(tuple, rows[name]["fills"])) for name in MODELS if name in rows}
    for sentence in SENTENCES:
        cells = [_candidates(found[name].get(sentence, [])) if name in found else "" for name in MODELS]
        lines.append(f"| {sentence} | {' | '.join(cells)} |")
    return [*lines, "", "Each byte of a blank is answered on its own: that is how such a model is trained."]


def _candidates(candidates: list[list[Any]]) -> str:
    shown = ((text.replace("|", "\\|").replace("`", "'"), chance) for text, chance in candidates)
    return ", ".join(f"`{text}` {chance:.1%}" for text, chance in shown)


def _commands() -> list[str]:
    return [
        "```",
        "anybyte tokenizer train novels/ --vocabulary 4000 -o spm.model",
        "anybyte train small/language_bytes --data novels/+wikitext2/valid.txt --out runs/language_bytes",
        "anybyte train small/language_pieces --data novels/+wikitext2/valid.txt --task.pieces spm.model \\",
        "    --out runs/language_pieces",
        "anybyte evaluate runs/language_bytes --data wikitext2/test.txt --limit 200000 --baseline",
        "anybyte evaluate runs/language_bytes --data novels/ --split val --limit 100000 --baseline --out own",
        "python scripts/results_language.py measure --bytes runs/language_bytes --pieces runs/language_pieces \\",
        "    --valid wikitext2/valid.txt --test wikitext2/test.txt --limit 200000 --own own/report.json",
        "python scripts/results_language.py page",
        "```",
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
