"""`anybyte privacy audit MODEL DATA`: attacks a model's protection, and says how much comes back."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Literal

from torch import nn

from anybyte.cli.evaluate import RECIPE, find_run, read_data_settings
from anybyte.config import DataConfig, PrivacyConfig, ReadingConfig
from anybyte.evaluate.audit import (
    CAMERA_ATTACKS,
    PERMUTATION_ATTACKS,
    Embeddings,
    attack_camera,
    attack_permutation,
    embedding_rows,
)
from anybyte.evaluate.audit_material import Material, Part, collect, draw
from anybyte.evaluate.audit_report import Audit, Section, tabulate, write_audit
from anybyte.evaluate.runner import evaluate
from anybyte.files.sources import Source, open_source, open_splits
from anybyte.models.pretrained import read_byte_reading
from anybyte.models.rekey import rekey
from anybyte.predictor import Predictor, find_model, load_as
from anybyte.privacy.camera import PixelMask
from anybyte.privacy.keys import read_key
from anybyte.privacy.permutation import Permutation, is_same, short
from anybyte.reading import ByteReading

EPILOG = """\
A model that reads plain files is attacked as if it were re-keyed by a key that is drawn for the purpose. A model's own
key is needed to make the permuted files and to judge what the attacks find: name its file with --key. Nothing of it is
printed or written. What the numbers mean for whom is in docs/privacy.md.

examples:
  anybyte privacy audit runs/cifar10_tiff cifar10.zip
  anybyte privacy audit secret_model photos/ --key my.key --public other_photos/ --files 1,10,100
  anybyte privacy audit runs/cifar10_tiff cifar10.zip --noise 20 --attack headers --attack combined
  anybyte privacy audit runs/camera photos/ --camera-keep 0.1 --out audit/"""


def main(args: list[str]) -> int:
    """Attacks, prints a table and writes the report."""
    options = _parser().parse_args(args)
    own = read_byte_reading(find_model(options.model))
    key = _key(own.privacy, options)
    predictor = load_as(Predictor, options.model, key=key if own.privacy.fingerprint else None)
    attacked = _attacked(own, options)
    victims, public, source = _material(options, attacked)
    secret, plain = predictor, None
    if attacked.privacy.permutation and not own.privacy.permutation:
        plain = predictor.model
        secret = Predictor(rekey(plain, key), predictor.labels, predictor.device, predictor.precision)
    elif own.privacy.fingerprint:
        plain = rekey(predictor.model, key.inverse)
    about = {
        "model": options.model,
        "accuracy on the protected files": _accuracy(secret, own, attacked, key, source, options.on_error),
        "attacked": f"{len(victims):,} files of {options.data}",
        "public": f"{len(public):,} files of {options.public or 'the same data'}, where the attacker has any",
        "format": attacked.format or "as stored",
    }
    sections = []
    if attacked.privacy.camera_keep is not None:
        sections.append(_attack_camera(attacked.privacy, victims, public, options))
    if attacked.privacy.permutation:
        embeddings = _embeddings(plain, secret.model, options.public_model)
        sections.append(_attack_permutation(attacked.privacy, key, victims, public, embeddings, options))
    audit = Audit(about, tuple(sections))
    _print(audit)
    print(f"\nwrote {', '.join(map(str, write_audit(audit, options.out)))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    attacks = [*PERMUTATION_ATTACKS, *CAMERA_ATTACKS]
    parser = argparse.ArgumentParser(
        prog="anybyte privacy audit",
        description="Attack what protects a model's files (permutation, noise, masked camera), and say how much of the "
        "key and of the pictures comes back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a model or run, bundled name, or hub id")
    parser.add_argument("data", metavar="DATA", help="files to protect and attack: folder, zip, ... as for training")
    parser.add_argument("--key", metavar="K", help="key file of a model that reads permuted bytes")
    parser.add_argument("--public", metavar="DATA2", help="plain files that the attacker has (other files of DATA)")
    parser.add_argument("--public-files", metavar="N", type=_count, default=4000, help="of these, at most (4000)")
    parser.add_argument("--public-model", metavar="MODEL2", help="a plain model that the attacker has")
    parser.add_argument(
        "--files", metavar="N,...", type=_counts, default=(1, 10, 100), help="protected files seen (1,10,100)"
    )
    parser.add_argument(
        "--attack", metavar="NAME", action="append", choices=attacks, help=f"only this; of {', '.join(attacks)}"
    )
    parser.add_argument("--noise", metavar="W", type=int, help="as if the model had noise of this width")
    parser.add_argument("--camera-keep", metavar="P", type=float, help="as if a camera kept this share of the channels")
    parser.add_argument("--format", metavar="F", help="as if the model read files in this format")
    parser.add_argument("--size", metavar="N", type=_count, help="as if the model read pictures of this size")
    parser.add_argument("--decoder-seconds", metavar="S", type=float, default=60.0, help="for the learnt decoder (60)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="draws files, and a key if there is none (0)")
    parser.add_argument("--out", metavar="DIR", default="audit", help="folder of audit.json, .md and pictures (audit)")
    parser.add_argument("--on-error", choices=("fail", "skip"), default="fail", help="what a bad file does (fail)")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"{text} is not a count of files")
    return number


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))


def _attacked(config: ReadingConfig, options: argparse.Namespace) -> ReadingConfig:
    """What is attacked: how the model reads, or as the options say; a permutation, if there is nothing else."""
    privacy = config.privacy
    if privacy.order != "stored":
        raise ValueError(
            f"{options.model} reads bytes in the order {privacy.order!r}, which the audit does not attack: "
            "a fixed order is no secret"
        )
    if options.noise is not None:
        privacy = dataclasses.replace(privacy, noise=options.noise)
    if options.camera_keep is not None:
        privacy = dataclasses.replace(privacy, camera_keep=options.camera_keep)
    if privacy.camera_keep is None:
        privacy = dataclasses.replace(privacy, permutation=True)
    fields = {name: value for name, value in (("format", options.format), ("image_size", options.size)) if value}
    return dataclasses.replace(config, privacy=privacy, **fields)


def _key(privacy: PrivacyConfig, options: argparse.Namespace) -> Permutation:
    """The permutation to attack: the model's, or one for the purpose."""
    key = read_key(options.key) if options.key else None
    if privacy.fingerprint is None:
        return key or Permutation.random(privacy.seed if privacy.permutation else options.seed)
    if key is None:
        raise ValueError(
            f"{options.model} reads bytes permuted by the key {short(privacy.fingerprint)}: name it (--key)"
        )
    if not is_same(key.fingerprint, privacy.fingerprint):
        raise ValueError(f"{options.key} is the key {short(key.fingerprint)}, not {short(privacy.fingerprint)}")
    return key


def _material(options: argparse.Namespace, reading: ReadingConfig) -> tuple[Material, Material, Part]:
    """The files that are attacked, those that the attacker has, and where the first come from."""
    data, rest = _halves(options)
    if options.public:
        rest = open_source(options.public)
    part = draw(data, max(options.files), options.seed)
    if data is rest:
        count = len(data.entries)
        chosen = draw(data, count, options.seed).indices
        cut = min(max(options.files), max(1, count // 2))
        part, other = Part(data, chosen[:cut]), Part(data, chosen[cut : cut + options.public_files])
    else:
        other = draw(rest, options.public_files, options.seed + 1)
    if not other.indices:
        raise ValueError(f"{options.data} has one file only: name other files that the attacker has with --public")
    return collect(part, reading, options.on_error), collect(other, reading, options.on_error), part


def _halves(options: argparse.Namespace) -> tuple[Source, Source]:
    """Files to attack and files that are public: the test and the training part, or for unlabelled data all of it."""
    everything = open_source(options.data)
    if len(everything.classes) < 2 or any(entry.label < 0 for entry in everything.entries):
        return everything, everything
    run = find_run(options.model)
    fields = read_data_settings(run / RECIPE) if run else {}
    fields |= {"path": options.data, "on_error": options.on_error}
    splits = open_splits(dataclasses.replace(DataConfig(), **fields))
    return splits.test, splits.train


def _attack_permutation(
    privacy: PrivacyConfig,
    key: Permutation,
    victims: Material,
    public: Material,
    embeddings: Embeddings,
    options: argparse.Namespace,
) -> Section:
    noise = privacy.noise or 0
    chosen = options.attack or tuple(PERMUTATION_ATTACKS)
    findings = attack_permutation(key, noise, victims, public, options.files, chosen, embeddings)
    title = "Permutation of the byte values" + (f", after noise of ±{noise}" if noise else "")
    return Section("permutation", title, findings)


def _attack_camera(privacy: PrivacyConfig, victims: Material, public: Material, options: argparse.Namespace) -> Section:
    assert privacy.camera_keep is not None
    mask = PixelMask(privacy.camera_keep, privacy.seed)
    chosen = options.attack or tuple(CAMERA_ATTACKS)
    findings = attack_camera(mask, victims, public, options.files, chosen, options.decoder_seconds)
    return Section("camera", f"Camera that keeps {privacy.camera_keep:.0%} of the pixel channels", findings)


def _accuracy(
    secret: Predictor, own: ReadingConfig, attacked: ReadingConfig, key: Permutation, source: Part, on_error: str
) -> str:
    """The share of protected files that the model answers rightly, or why it is not known."""
    unprotected = dataclasses.replace(attacked.privacy, permutation=own.privacy.permutation)
    if dataclasses.replace(attacked, privacy=unprotected) != own:
        return "not measured: the model was not made for this reading"
    known = set(secret.labels)
    if any(entry.label < 0 or source.classes[entry.label] not in known for entry in source.entries):
        return "not measured: the files are not of the model's classes"
    reading = ByteReading(attacked, key=key if attacked.privacy.permutation else None)
    skip: Literal["fail", "skip"] = "skip" if on_error == "skip" else "fail"
    found = evaluate(secret.model, source, secret.labels, reading, precision=secret.precision, on_error=skip)
    return f"{found.top1:.2%} of {found.files:,}"


def _embeddings(plain: nn.Module | None, secret: nn.Module, public_model: str | None) -> Embeddings:
    """What the attacks on models compare."""
    rows = embedding_rows(secret)
    if public_model is None:
        return Embeddings(rows, None if plain is None else embedding_rows(plain))
    public = embedding_rows(load_as(Predictor, public_model).model)
    return Embeddings(rows, public if public.shape == rows.shape else None, public)


def _print(audit: Audit) -> None:
    width = max(map(len, audit.about))
    for name, value in audit.about.items():
        print(f"{name:<{width}}  {value}")
    for section in audit.sections:
        heads, rows = tabulate(section.findings.rows)
        print(f"\n{section.title}\n")
        widths = [max(len(line[index]) for line in (heads, *rows)) for index in range(len(heads))]
        for line in (heads, *rows):
            cells = (f"{cell:{'<' if index < 2 else '>'}{widths[index]}}" for index, cell in enumerate(line))
            print("  ".join(cells).rstrip())
        for reason in section.findings.left_out:
            print(f"not done: {reason}")
