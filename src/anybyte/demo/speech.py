"""Spoken digits without recordings: a small source-filter synthesiser in numpy.

A voice is a buzz from the larynx and noise from wherever the tract is narrow, coloured by the resonances (formants) of
the tract above it. Words are strings of phonemes; a phoneme is a target for a dozen parameters, which glide from one
target to the next as tongue and lips do. Every 4 ms of source go through the filter of that moment, in the frequency
domain, and are added up. Formant frequencies follow the averages for male speakers of American English in Peterson and
Barney, "Control methods used in a study of the vowels" (1952); the source is the open-phase polynomial of Klatt and
Klatt (1990). The voices sound like machines, but their spectra move as those of the words do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RATE = 8000
"""Samples a second of what comes back."""
_RATE = 2 * RATE
"""Samples a second inside: the closing of the glottis is sharp, and would alias at the lower rate."""
_HOP = 64
"""Samples from one filter to the next: 4 ms."""
_FFT = 512
"""Long enough for the ringing of the narrowest formant to die away (32 ms)."""


@dataclass(frozen=True)
class Phoneme:
    """The targets of one speech sound for a tract of average male length.

    Attributes:
        formants: the first three resonances in Hz.
        milliseconds: usual duration.
        voice: level of the buzz, 0 to 1.
        breath: level of noise at the glottis, which the formants colour.
        hiss: level of noise at a narrowing further up.
        hiss_band: its centre and width in Hz.
        nasal: how open the passage to the nose is, 0 to 1.
    """

    formants: tuple[float, float, float]
    milliseconds: float
    voice: float = 1.0
    breath: float = 0.0
    hiss: float = 0.0
    hiss_band: tuple[float, float] = (4000.0, 4000.0)
    nasal: float = 0.0


PHONEMES = {
    "IY": Phoneme((280, 2250, 2950), 150),
    "IH": Phoneme((400, 1950, 2550), 80),
    "EH": Phoneme((550, 1800, 2500), 95),
    "AH": Phoneme((640, 1190, 2400), 110),
    "AX": Phoneme((500, 1450, 2450), 55),
    "AO": Phoneme((570, 850, 2400), 130),
    "UW": Phoneme((310, 880, 2240), 180),
    "OW1": Phoneme((500, 950, 2350), 80),
    "OW2": Phoneme((370, 780, 2300), 90),
    "EY1": Phoneme((490, 1950, 2550), 100),
    "EY2": Phoneme((330, 2220, 2750), 90),
    "AY1": Phoneme((720, 1150, 2430), 105),
    "AY2": Phoneme((400, 1950, 2550), 85),
    "R": Phoneme((340, 1080, 1550), 70, voice=0.8),
    "W": Phoneme((300, 640, 2200), 65, voice=0.75),
    "N": Phoneme((300, 1500, 2500), 75, voice=0.6, nasal=1.0),
    "V": Phoneme((280, 1100, 2300), 60, voice=0.35, hiss=0.05, hiss_band=(4500, 7000)),
    "Z": Phoneme((270, 1600, 2550), 85, voice=0.3, hiss=0.2, hiss_band=(4300, 1800)),
    "S": Phoneme((350, 1600, 2550), 105, voice=0.0, hiss=0.4, hiss_band=(4300, 1700)),
    "F": Phoneme((340, 1100, 2200), 85, voice=0.0, hiss=0.07, hiss_band=(4500, 8000)),
    "TH": Phoneme((320, 1350, 2500), 80, voice=0.0, hiss=0.05, hiss_band=(5500, 5000)),
    # Stops are three sounds: silence behind the closure, the burst that opens it, the breath before the voice sets in.
    "T-": Phoneme((330, 1750, 2600), 50, voice=0.0),
    "T!": Phoneme((330, 1750, 2600), 14, voice=0.0, hiss=0.7, hiss_band=(3900, 2200)),
    "T~": Phoneme((350, 1600, 2500), 35, voice=0.0, breath=0.25, hiss=0.06),
    "K-": Phoneme((320, 2000, 2400), 50, voice=0.0),
    "K!": Phoneme((320, 2000, 2400), 16, voice=0.0, hiss=0.6, hiss_band=(2000, 700)),
    "K~": Phoneme((380, 1900, 2450), 18, voice=0.0, breath=0.2),
}

WORDS = {
    "zero": "Z IH R OW1 OW2",
    "one": "W AH N",
    "two": "T- T! T~ UW",
    "three": "TH R IY",
    "four": "F AO R",
    "five": "F AY1 AY2 V",
    "six": "S IH K- K! K~ S",
    "seven": "S EH V AX N",
    "eight": "EY1 EY2 T- T! T~",
    "nine": "N AY1 AY2 N",
}
"""The ten words in the order of their digits, and how they are said."""


@dataclass(frozen=True)
class Speaker:
    """One voice.

    Attributes:
        pitch: mean fundamental frequency in Hz.
        tract: formant frequencies relative to an average man's; short tracts are above 1.
        rate: speed of speech relative to the phonemes' usual durations.
        breathiness: noise in the voice, 0 to 1.
        open_quotient: share of each period in which the glottis is open; more is softer.
        melody: fall of the pitch over a word, in octaves.
        accent: factor on each phoneme's formants, [phonemes, 3].
        loudness: peak of the samples, at most 1.
        room: level of the background noise relative to the voice.
    """

    pitch: float
    tract: float
    rate: float
    breathiness: float
    open_quotient: float
    melody: float
    accent: Floats
    loudness: float
    room: float


def draw_speaker(rng: np.random.Generator) -> Speaker:
    """A speaker at random: high voices tend to have short tracts, as in people."""
    height = rng.uniform(0, 1)
    return Speaker(
        pitch=95 * 2 ** (1.15 * height + rng.normal(0, 0.12)),
        tract=0.96 + 0.22 * height + rng.normal(0, 0.02),
        rate=rng.uniform(1.0, 1.3),
        breathiness=rng.uniform(0.02, 0.3),
        open_quotient=rng.uniform(0.45, 0.75),
        melody=rng.uniform(0.05, 0.4),
        accent=np.exp(rng.normal(0, 0.03, size=(len(PHONEMES), 3))),
        loudness=rng.uniform(0.45, 0.95),
        room=10 ** rng.uniform(-2.5, -1.7),
    )


def say(word: str, speaker: Speaker, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The samples of `word`: float32 [N] in [-1, 1] at `RATE`, 0.25 to 0.75 seconds with a little silence around.

    Args:
        word: one of `WORDS`.
        speaker: whose voice it is.
        rng: draws what differs from one time to the next: durations, pitch, noise.

    Raises:
        ValueError: no such word.
    """
    if word not in WORDS:
        raise ValueError(f"no word {word!r}: there are {', '.join(WORDS)}")
    tracks = _glide(WORDS[word].split(), speaker, rng)
    samples = _filter(tracks, speaker, rng)
    samples = _halve_rate(samples)
    samples += speaker.room * np.abs(samples).max() * rng.normal(0, 0.3, len(samples))
    samples *= speaker.loudness * rng.uniform(0.8, 1.0) / np.abs(samples).max()
    return samples.astype(np.float32)


@dataclass(frozen=True)
class _Tracks:
    """What the tract does over time, one value every `_HOP` samples: [frames], `formants` [frames, 3] in Hz."""

    formants: Floats
    voice: Floats
    breath: Floats
    hiss: Floats
    hiss_centre: Floats
    hiss_width: Floats
    nasal: Floats


def _glide(names: list[str], speaker: Speaker, rng: np.random.Generator) -> _Tracks:
    """The phonemes' targets one after the other, smoothed: formants over 70 ms, levels faster."""
    index = [list(PHONEMES).index(name) for name in names]
    phonemes = [PHONEMES[name] for name in names]
    seconds = (
        np.array([p.milliseconds for p in phonemes]) / 1000 / speaker.rate * np.exp(rng.normal(0, 0.1, len(names)))
    )
    silences = rng.uniform(0.015, 0.05, size=2)
    frames = np.maximum(1, np.round(np.array([silences[0], *seconds, silences[1]]) * _RATE / _HOP)).astype(int)

    formants = np.array([p.formants for p in phonemes]) * speaker.accent[index] * speaker.tract
    formants *= np.exp(rng.normal(0, 0.015, formants.shape))
    levels = np.array([(p.voice, p.breath, p.hiss, p.nasal) for p in phonemes])
    bands = np.array([p.hiss_band for p in phonemes]) * speaker.tract**0.5

    def track(targets: Floats, milliseconds: float, *, silent: bool) -> Floats:
        """[phonemes, k] -> [frames, k]; around the word the levels are zero and the rest stays as it is."""
        edges = (np.zeros_like(targets[:1]),) * 2 if silent else (targets[:1], targets[-1:])
        steps = np.repeat(np.concatenate([edges[0], targets, edges[1]]), frames, axis=0)
        return _smooth(steps, milliseconds)

    voice, breath, hiss, nasal = levels.T[:, :, None]
    return _Tracks(
        formants=track(formants, 70, silent=False),
        voice=track(voice, 25, silent=True)[:, 0],
        breath=track(breath, 15, silent=True)[:, 0],
        hiss=track(hiss, 12, silent=True)[:, 0],
        hiss_centre=track(bands, 8, silent=False)[:, 0],
        hiss_width=track(bands, 8, silent=False)[:, 1],
        nasal=track(nasal, 30, silent=True)[:, 0],
    )


def _smooth(steps: Floats, milliseconds: float) -> Floats:
    """`steps` [frames, k] under a moving bell of that width."""
    half = max(1, round(milliseconds / 2000 * _RATE / _HOP))
    bell = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(steps, ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, bell / bell.sum(), mode="valid") for column in padded.T], axis=1)


def _filter(tracks: _Tracks, speaker: Speaker, rng: np.random.Generator) -> Floats:
    """Source through filter, frame by frame: [frames * _HOP + _FFT] samples at `_RATE`."""
    frames = len(tracks.voice)
    length = (frames + 1) * _HOP
    buzz = _buzz(length, speaker, rng)
    window = np.hanning(2 * _HOP + 1)[:-1]

    def spectra(source: Floats) -> npt.NDArray[np.complex128]:
        cut = np.lib.stride_tricks.sliding_window_view(source, 2 * _HOP)[::_HOP]
        return np.fft.rfft(cut * window, _FFT, axis=1)

    breath = rng.normal(0, 1, length) * (0.4 + 0.6 * (buzz > 0))
    voiced = spectra(buzz) * tracks.voice[:, None]
    voiced += spectra(breath) * (tracks.breath + 0.25 * speaker.breathiness * tracks.voice)[:, None]
    hissed = spectra(rng.normal(0, 1, length)) * tracks.hiss[:, None]
    whole = voiced * _tract(tracks, speaker) + hissed * _narrowing(tracks)

    pieces = np.fft.irfft(whole, _FFT, axis=1)
    samples = np.zeros(frames * _HOP + _FFT)
    for frame, piece in enumerate(pieces):
        samples[frame * _HOP : frame * _HOP + _FFT] += piece
    return samples[: length + _HOP]


def _buzz(length: int, speaker: Speaker, rng: np.random.Generator) -> Floats:
    """The derivative of the air flow through the glottis, [length]: it opens slowly and closes at once."""
    time = np.linspace(-0.5, 0.5, length)
    octaves = -speaker.melody * time + rng.normal(0, 0.06) + 0.03 * np.sin(2 * np.pi * (2 * time + rng.uniform()))
    knots = np.arange(0, length + 160, 160)
    jitter = np.interp(np.arange(length), knots, rng.normal(0, 0.012, len(knots)))
    phase = np.cumsum(speaker.pitch * 2 ** (octaves + jitter)) / _RATE + rng.uniform()
    place = (phase % 1.0) / speaker.open_quotient
    return np.where(place < 1, 2 * place - 3 * place**2, 0.0)


_HZ = np.fft.rfftfreq(_FFT, 1 / _RATE)


def _resonance(centre: Floats, width: Floats | float) -> npt.NDArray[np.complex128]:
    """The response of one formant, [frames, bins], 1 at zero frequency. `width` is its bandwidth in Hz."""
    pole = np.exp(np.pi / _RATE * (-np.asarray(width) + 2j * centre))[:, None]
    z = np.exp(-2j * np.pi * _HZ / _RATE)
    response: npt.NDArray[np.complex128] = np.abs(1 - pole) ** 2 / ((1 - pole * z) * (1 - pole.conj() * z))
    return response


def _tract(tracks: _Tracks, speaker: Speaker) -> npt.NDArray[np.complex128]:
    """The formants one after the other, [frames, bins]. With the nose open they widen, and a pole and zero join in."""
    wide = 1 + 1.5 * tracks.nasal
    response = np.ones((len(tracks.voice), len(_HZ)), dtype=np.complex128)
    for formant, width in zip(tracks.formants.T, (70.0, 100.0, 150.0), strict=True):
        response *= _resonance(formant, width * wide)
    for formant, width in ((3500.0, 250.0), (4500.0, 300.0), (5500.0, 400.0)):
        response *= _resonance(np.array([formant * speaker.tract]), width)
    # With the nose closed, pole and zero sit on each other and cancel.
    pole, zero = np.array([270.0]), 270.0 + 650.0 * tracks.nasal
    return response * _resonance(pole, 100.0) / _resonance(zero, 100.0)


def _narrowing(tracks: _Tracks) -> Floats:
    """The colour of hiss: a bell around its centre, [frames, bins]."""
    return np.exp(-0.5 * ((_HZ - tracks.hiss_centre[:, None]) / (tracks.hiss_width[:, None] / 2)) ** 2)


def _halve_rate(samples: Floats) -> Floats:
    """Every second sample, without what is above the new limit."""
    even = samples[: len(samples) // 2 * 2]
    spectrum = np.fft.rfft(even)
    hz = np.fft.rfftfreq(len(even), 1 / _RATE)
    spectrum *= np.clip((RATE / 2 - hz) / 200, 0, 1)
    return np.fft.irfft(spectrum, len(even))[::2]
