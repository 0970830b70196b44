"""How much a protection protects: every attack that applies, measured on real files, beside the model's accuracy.

Each row says what its attacker knows. All of them know how files are made (format, size, width of the noise, share that
a camera keeps): what is secret is the permutation, or the camera's mask where a row says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from anybyte.config import PrivacyConfig
from anybyte.evaluate.audit_material import Material
from anybyte.models.stem import Stem
from anybyte.privacy.attacks.camera import fill_smoothly, fit_linear, nearest_kept, scatter
from anybyte.privacy.attacks.decoder import train_decoder
from anybyte.privacy.attacks.embedding import match_relations, match_rows
from anybyte.privacy.attacks.guesses import Guess, KeyScore, complete, read_with, score_guess
from anybyte.privacy.attacks.mask import MAX_LENGTH, PlacesScore, find_places, score_places
from anybyte.privacy.attacks.matching import Evidence
from anybyte.privacy.attacks.similarity import psnr, ssim
from anybyte.privacy.attacks.statistics import Counts, count_neighbours, count_values, log_frequencies, with_noise
from anybyte.privacy.attacks.substitution import (
    combine,
    header_clues,
    match_bigrams,
    match_ranks,
    order_by_smoothness,
    read_headers,
)
from anybyte.privacy.camera import PixelMask
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.protect import Protection

Pictures: TypeAlias = NDArray[np.uint8]

PERMUTATION_ATTACKS = {
    "ranks": "permuted files, public files",
    "headers": "permuted files, the format",
    "bigrams": "permuted files, public files, the format",
    "smoothness": "permuted files, the format",
    "combined": "permuted files, public files, the format",
    "embedding": "the model that reads permuted bytes, the model it was made from",
    "relations": "the model that reads permuted bytes, a plain model trained apart",
}
"""Attack on a permutation -> what its attacker has."""
CAMERA_ATTACKS = {
    "nearest": "what the camera sends, its mask",
    "smooth": "what the camera sends, its mask",
    "linear": "what the camera sends, its mask, public pictures",
    "decoder": "what the camera sends, its mask, public pictures",
    "secret mask": "what the camera sends (many pictures), public pictures",
}
"""Attack on a masked camera -> what its attacker has."""

MOST_DECIBELS = 99.0
"""Stands for the infinite ratio of equal pictures."""
_COUPLING = 8.0
_NUM_COMPARED = 100
"""Pictures, at most, that PSNR and SSIM are measured on."""


@dataclass(frozen=True)
class Row:
    """One attack's result.

    Attributes:
        attack: its name.
        attacker: what the attacker has.
        files: how many permuted files or masked pictures were used. 0: none are needed.
        key: how much of the permutation is right.
        mask: how much of the camera's mask is right, where it was secret.
        psnr: of the recovered pictures in decibels, from their mean squared error together; 99 if they are equal.
        ssim: of the recovered pictures, their mean. None for pictures of fewer than 11 pixels.
        seconds: that the attack took.
    """

    attack: str
    attacker: str
    files: int
    key: KeyScore | None
    mask: PlacesScore | None
    psnr: float | None
    ssim: float | None
    seconds: float


@dataclass
class Findings:
    """Rows, pictures to look at (name and uint8 [N, H, W, C]: the originals, what was sent, then what attacks gave),
    and the attacks that could not be made, with the reason."""

    rows: list[Row] = field(default_factory=list)
    pictures: list[tuple[str, Pictures]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add_picture(self, name: str, pictures: Pictures | None) -> None:
        """Keeps a few pictures; a later attempt of the same name replaces an earlier one."""
        if pictures is not None:
            self.pictures = [item for item in self.pictures if item[0] != name] + [(name, pictures[:8])]


@dataclass(frozen=True)
class Embeddings:
    """Byte embeddings [256, dim]: of the model that reads permuted bytes, and of plain ones.

    Attributes:
        secret: of the model that reads permuted bytes.
        origin: of the model that it was made from, or None.
        apart: of a plain model trained apart, or None.
    """

    secret: NDArray[np.float32]
    origin: NDArray[np.float32] | None = None
    apart: NDArray[np.float32] | None = None


def attack_permutation(
    key: Permutation,
    noise: int,
    victims: Material,
    public: Material,
    counts: Sequence[int],
    attacks: Sequence[str] = tuple(PERMUTATION_ATTACKS),
    embeddings: Embeddings | None = None,
) -> Findings:
    """What attacks on a permutation give, for growing numbers of files.

    Args:
        key: the permutation, known here to make the files and to judge the guesses.
        noise: added to each byte before the permutation.
        victims: the files that are permuted and attacked.
        public: other files of the same kind.
        counts: of permuted files that the attacker has seen.
        attacks: names in `PERMUTATION_ATTACKS`.
        embeddings: for the attacks on models.
    """
    protect = Protection(PrivacyConfig(permutation=True, noise=noise or None), key)
    sent = [np.frombuffer(protect(file.tobytes()), np.uint8) for file in victims.plain[: max(counts)]]
    truth = np.frombuffer(key.inverse.table, np.uint8)
    findings = Findings()
    findings.add_picture("original", victims.pictures)
    findings.add_picture("what is sent", _as_pictures(victims, sent))
    on_files = [name for name in PERMUTATION_ATTACKS if name in attacks and name not in ("embedding", "relations")]
    for count in sorted({min(count, len(sent)) for count in counts}):
        scene = _Scene.of(victims, sent[:count], public, noise)
        for name in on_files:
            start = time.perf_counter()
            guess = scene.attack(name)
            seconds = time.perf_counter() - start
            if guess is None:
                findings.left_out.append(f"{name}: in a compressed format no byte belongs to one pixel or sample")
                continue
            findings.rows.append(_judge(name, guess, truth, victims, sent, count, seconds, findings))
    models = {"embedding": embeddings.origin, "relations": embeddings.apart} if embeddings else {}
    for name, rows in models.items():
        if embeddings is not None and name in attacks and rows is not None:
            start = time.perf_counter()
            guess = (match_rows if name == "embedding" else match_relations)(embeddings.secret, rows)
            seconds = time.perf_counter() - start
            findings.rows.append(_judge(name, guess, truth, victims, sent, 0, seconds, findings))
    findings.left_out = sorted(set(findings.left_out))
    return findings


@dataclass(frozen=True)
class _Scene:
    """What an attacker on a permutation has counted."""

    sent: Counts
    public: Counts
    clues: Counts
    evidence: Evidence | None
    circle: bool
    lowest: int

    @classmethod
    def of(cls, victims: Material, sent: Sequence[NDArray[np.uint8]], public: Material, noise: int) -> _Scene:
        clues = np.zeros((256, 256))
        for layout, file in zip(victims.layouts, sent, strict=False):
            if layout.header.size:
                clues += header_clues(file[layout.header][None], layout.values, noise)
        evidence = None
        if victims.has_bodies and public.has_bodies:
            expected = log_frequencies(with_noise(count_neighbours(public.bodies()), noise))
            evidence = Evidence(count_neighbours(victims.bodies(sent)), expected, clues)
        plain = count_values(public.plain)
        if noise:
            plain = with_noise(np.outer(plain, plain), noise).sum(axis=1)
        signed = any(layout.places is not None and layout.places.shape[-1] == 2 for layout in victims.layouts)
        sounds = signed and victims.pictures is None
        return cls(count_values(sent), plain, clues, evidence, noise > 0, 128 if sounds else 0)

    def attack(self, name: str) -> Guess | None:
        if name == "ranks":
            return match_ranks(self.sent, self.public)
        if name == "headers":
            return read_headers(self.clues)
        if self.evidence is None:
            known = read_headers(self.clues)
            return complete(known, self.sent, self.public) if name == "combined" else None
        if name == "bigrams":
            return match_bigrams(self.sent, self.public, self.evidence)
        if name == "smoothness":
            return order_by_smoothness(self.evidence.seen, self.clues, self.circle, self.lowest)
        return combine(self.evidence, self.circle)


def _judge(
    name: str,
    guess: Guess,
    truth: NDArray[np.uint8],
    victims: Material,
    sent: Sequence[NDArray[np.uint8]],
    count: int,
    seconds: float,
    findings: Findings,
) -> Row:
    key = score_guess(guess, truth, count_values(sent))
    read = _as_pictures(victims, [read_with(guess, file) for file in sent[:_NUM_COMPARED]])
    findings.add_picture(name, read)
    likeness = _likeness(victims.pictures, read)
    return Row(name, PERMUTATION_ATTACKS[name], count, key, None, *likeness, seconds)


def _as_pictures(material: Material, files: Sequence[NDArray[np.uint8]]) -> Pictures | None:
    """What stands where the pixels are, uint8 [N, H, W, C]; None if that is not known, or sizes differ."""
    if material.pictures is None or not material.has_bodies:
        return None
    return np.stack(material.bodies(files))


def _likeness(pictures: Pictures | None, recovered: Pictures | None) -> tuple[float | None, float | None]:
    """PSNR and SSIM over the first pictures."""
    if pictures is None or recovered is None:
        return None, None
    pairs = list(zip(pictures[:_NUM_COMPARED], recovered, strict=False))
    together = psnr(np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs]))
    structure = float(np.mean([ssim(a, b) for a, b in pairs])) if min(pictures.shape[1:3]) >= 11 else None
    return min(MOST_DECIBELS, together), structure


def attack_camera(
    mask: PixelMask,
    victims: Material,
    public: Material,
    counts: Sequence[int],
    attacks: Sequence[str] = tuple(CAMERA_ATTACKS),
    decoder_seconds: float = 60.0,
    on_progress: Callable[[int], None] | None = None,
) -> Findings:
    """What attacks on a masked camera give.

    Args:
        mask: of the camera.
        victims: the pictures that it takes.
        public: other pictures of the same kind and size.
        counts: of pictures that the attacker of a secret mask has seen.
        attacks: names in `CAMERA_ATTACKS`.
        decoder_seconds: of training the learnt decoder, at most.
        on_progress: called with the number of steps of that training.

    Raises:
        ValueError: the files are not pictures of one size.
    """
    whole, known = victims.pictures, public.pictures
    if whole is None or known is None or whole.shape[1:] != known.shape[1:]:
        raise ValueError("a masked camera takes pictures of one size: set one with --size")
    shape = (whole.shape[1], whole.shape[2], whole.shape[3])
    places = mask.positions(int(np.prod(shape)))
    sent = whole.reshape(len(whole), -1)[:, places]
    compared = sent[:_NUM_COMPARED]
    findings = Findings()
    findings.add_picture("original", whole)
    findings.add_picture("what is sent", scatter(compared, places, shape))
    small = whole[0].size <= MAX_LENGTH

    def judge(name: str, recover: Callable[[], NDArray[np.float32]], count: int = 0) -> None:
        start = time.perf_counter()
        recovered = np.rint(recover()).astype(np.uint8)
        seconds = time.perf_counter() - start
        findings.add_picture(name, recovered)
        findings.rows.append(Row(name, CAMERA_ATTACKS[name], count, None, None, *_likeness(whole, recovered), seconds))

    def decode() -> NDArray[np.float32]:
        if small:  # learnt from most public pictures, and the decoder from the others: there its errors are honest
            first = len(known) * 3 // 4
            fill = fit_linear(known[:first], places)
        else:
            fill, first = (lambda values: fill_smoothly(values, places, shape, _COUPLING)), 0
        theirs = known[first:]
        filled = fill(theirs.reshape(len(theirs), -1)[:, places])
        better = train_decoder(theirs, filled, places, seconds=decoder_seconds, on_progress=on_progress)
        return better(fill(compared))

    recoveries: dict[str, Callable[[], NDArray[np.float32]]] = {
        "nearest": lambda: compared[:, nearest_kept(places, shape)].astype(np.float32),
        "smooth": lambda: fill_smoothly(compared, places, shape, _COUPLING),
        "linear": lambda: fit_linear(known, places)(compared),
        "decoder": decode,
    }
    for name, recover in recoveries.items():
        if name == "linear" and not small:
            findings.left_out.append(f"linear: pictures of more than {MAX_LENGTH:,} channels are too large for it")
        elif name in attacks:
            judge(name, recover)
    if "secret mask" in attacks and not small:
        findings.left_out.append(f"secret mask: pictures of more than {MAX_LENGTH:,} channels are too large for it")
    elif "secret mask" in attacks:
        for count in sorted({min(count, len(sent)) for count in counts if count >= 100} or {len(sent)}):
            start = time.perf_counter()
            found = find_places(sent[:count], known)
            recovered = np.rint(fit_linear(known, found)(compared)).astype(np.uint8)
            seconds = time.perf_counter() - start
            findings.add_picture("secret mask", recovered)
            score = score_places(found, places, shape)
            findings.rows.append(
                Row("secret mask", CAMERA_ATTACKS["secret mask"], count, None, score,
                    *_likeness(whole, recovered), seconds)
            )  # fmt: skip
    return findings


def embedding_rows(model: torch.nn.Module) -> NDArray[np.float32]:
    """The rows of a model's byte embedding: float32 [256, dim].

    Raises:
        ValueError: the model has none.
    """
    for module in model.modules():
        if isinstance(module, Stem):
            return module.embedding.detach()[:256].float().cpu().numpy()
    raise ValueError(f"a {type(model).__name__} of this configuration reads no bytes, so it holds no key")
