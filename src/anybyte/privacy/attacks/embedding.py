"""The key in a re-keyed model: its byte embedding is the public one with the rows in another order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anybyte.privacy.attacks.assignment import assign
from anybyte.privacy.attacks.guesses import Guess
from anybyte.privacy.attacks.matching import Evidence, climb, settle
from anybyte.privacy.attacks.smoothness import place_order, seriate
from anybyte.privacy.attacks.statistics import NUM_VALUES
from anybyte.privacy.attacks.substitution import no_clues

Rows = NDArray[np.floating]


def match_rows(secret: Rows, public: Rows) -> Guess:
    """The plain value of each sent one, by pairing rows of least total distance: int16 [256].

    Exact for an untouched re-keying, and near it as long as the secret model was trained from the public one: training
    moves rows by less than they are apart.

    Args:
        secret: [256, dim], rows of the model that reads permuted bytes.
        public: [256, dim], rows of one that reads plain ones.

    Raises:
        ValueError: the shapes differ or are not [256, dim].
    """
    a, b = _checked(secret, public)
    return assign((a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T).astype(np.int16)


def match_relations(secret: Rows, public: Rows) -> Guess:
    """The same for models that were trained apart, whose embeddings lie in unrelated bases: int16 [256].

    What can be compared are the angles between rows. Values near each other have like rows in both models, so their
    order along the line of values gives a start, which is improved as pairs of bytes are.

    Args:
        secret: [256, dim].
        public: [256, other dim].

    Raises:
        ValueError: an array is not [256, dim].
    """
    a, b = (_angles(rows.astype(np.float64)) for rows in (secret, public))
    evidence = Evidence(a[None], b[None], no_clues())
    weights = np.exp(4 * a)
    np.fill_diagonal(weights, 0)
    starts = [place_order(seriate(weights, circle), evidence, circle) for circle in (False, True)]
    found = [climb(evidence, settle(evidence, start)) for start in starts]
    return max(found, key=evidence.agreement).astype(np.int16)


def _checked(secret: Rows, public: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if secret.shape != public.shape:
        raise ValueError(f"embeddings of models of one kind have one shape, not {secret.shape} and {public.shape}")
    if secret.ndim != 2 or len(secret) != NUM_VALUES:
        raise ValueError(f"expected a row for each of the {NUM_VALUES} values, got shape {secret.shape}")
    return secret.astype(np.float64), public.astype(np.float64)


def _angles(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines between rows, less their mean: float64 [256, 256]."""
    if rows.ndim != 2 or len(rows) != NUM_VALUES:
        raise ValueError(f"expected a row for each of the {NUM_VALUES} values, got shape {rows.shape}")
    centred = rows - rows.mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    cosines = centred @ centred.T
    angles: NDArray[np.float64] = cosines - cosines.mean()
    return angles
