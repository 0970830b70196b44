"""What every way of reading has in common: `Reading`, and `ArrayReading` for those that decode files to arrays."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from anybyte.batch import Data, Named, form_of
from anybyte.config import AnyReadingConfig, AugmentConfig
from anybyte.files.augment import check_augment
from anybyte.privacy.seal import is_sealed

Arrays: TypeAlias = NDArray[Any] | Named
"""What a model reads of a file that is decoded: an array, or one for each of its inputs by name."""


class Mixed(NamedTuple):
    """Two files in one.

    Attributes:
        data: what the model reads.
        weight: share of the first file, in [0, 1], by which its label counts.
    """

    data: Data
    weight: float


class Reading(ABC):
    """From the bytes of a stored file to what a model reads. It can be sent to data loading processes.

    Attributes:
        config: what a model reads of a file.
        augment: random changes in training; those that do not fit a file's medium are left out for it.
        max_bytes: a stored file longer than this is an error. None: no limit.
    """

    config: AnyReadingConfig
    augment: AugmentConfig
    max_bytes: int | None

    @property
    def is_as_stored(self) -> bool:
        """Whether files are read as they are, but for random changes."""
        return False

    @property
    def kept(self) -> AnyReadingConfig:
        """The settings as a model's folder keeps them."""
        return self.config

    @property
    def views(self) -> int:
        """How many stretches of a file a model looks at in use; the mean of its probabilities is the answer."""
        return 1

    def in_use(self, data: bytes, name: str) -> Data:
        """What a model reads of a file in use: as without randomness, with an axis of `views` in front if there are
        several. Errors are those of reading it."""
        return self(data, name)

    @abstractmethod
    def altered(self, *, max_bytes: int | None, **fields: Any) -> Reading:
        """The same with other fields of its settings and another limit, and without augmentation."""

    @abstractmethod
    def __call__(self, data: bytes, name: str, rng: np.random.Generator | None = None) -> Data:
        """What a model reads of a file.

        Args:
            data: the file as it is stored.
            name: what to call it in an error.
            rng: where all randomness comes from: equal generators give equal results. None: nothing is random.

        Raises:
            ValueError: the file is empty, too long, or cannot be read in this way. The message names it.
        """

    @abstractmethod
    def mix(
        self,
        data: bytes,
        name: str,
        other: bytes,
        other_name: str,
        weight: float,
        rng: np.random.Generator,
        *,
        cut: bool = False,
    ) -> Mixed | None:
        """What a model reads of a file that another one is mixed into, after the random changes of each.

        Args:
            data, name, other, other_name: the files.
            weight: share of the first.
            rng: where all randomness comes from.
            cut: paste a rectangle of the other picture (CutMix); the weight that comes back is the exact area that is
                left of the first. Otherwise add them up (mix-up).

        Returns:
            None, if they cannot be mixed, or the other one cannot be read: an error about that belongs to its own
            reading.

        Raises:
            ValueError: the first file cannot be used. The message names it.
        """

    @abstractmethod
    def blank(self) -> Data:
        """What it gives of a made-up file: all readings have its form, where they have a fixed one."""

    def check_length(self, data: bytes, name: str) -> None:
        """Raises ValueError if a file is longer than `max_bytes`."""
        if self.max_bytes is not None and len(data) > self.max_bytes:
            raise ValueError(f"{name}: {len(data):,} bytes are more than max_bytes, {self.max_bytes:,}")


class ArrayReading(Reading):
    """A reading that decodes files to arrays of fixed shapes: `read` and `blank` say how, and which.

    Args:
        config: what a model reads of a file; it has been checked.
        augment, max_bytes: see `Reading`.
    """

    mixes: ClassVar[bool] = True
    """Whether a weighted sum of two examples is one as well (mix-up)."""

    def __init__(
        self, config: AnyReadingConfig, augment: AugmentConfig | None = None, max_bytes: int | None = None
    ) -> None:
        self.config, self.augment, self.max_bytes = config, augment or AugmentConfig(), max_bytes
        check_augment(self.augment)

    @abstractmethod
    def read(self, data: bytes, name: str, rng: np.random.Generator | None) -> Arrays:
        """The arrays of a file, which is neither empty nor too long.

        Raises:
            ValueError: it cannot be decoded, or not be used. The message need not name it.
        """

    def view(self, data: bytes, name: str, place: float) -> Arrays:
        """As `read` without randomness, of the stretch at `place` of a long file: from 0, its beginning, to 1, its end.

        It is only asked for where there are several `views`."""
        return self.read(data, name, None)

    def cut(self, first: Arrays, second: Arrays, weight: float, rng: np.random.Generator) -> Mixed | None:
        """CutMix, see `mix`; None where that makes no sense."""
        return None

    def before_mixing(self) -> ArrayReading:
        """The reading whose arrays are mixed: what this one shows of a file may be no thing to add up."""
        return self

    def after_mixing(self, data: Arrays) -> Arrays:
        """What this reading shows of arrays of `before_mixing`."""
        return data

    def altered(self, *, max_bytes: int | None, **fields: Any) -> Reading:
        known = [field.name for field in dataclasses.fields(self.config) if field.init]
        for field in fields:
            if field not in known:
                raise ValueError(f"the model reads {self.config.kind}, not bytes: there is no {field} to choose")
        return type(self)(replace(self.config, **fields), max_bytes=max_bytes)

    def __call__(self, data: bytes, name: str, rng: np.random.Generator | None = None) -> Arrays:
        return self._checked(data, name, lambda: self.read(data, name, rng))

    def in_use(self, data: bytes, name: str) -> Arrays:
        if self.views == 1:
            return self(data, name)
        places = [number / (self.views - 1) for number in range(self.views)]
        return self._checked(data, name, lambda: _stacked([self.view(data, name, place) for place in places]))

    def _checked(self, data: bytes, name: str, read: Callable[[], Arrays]) -> Arrays:
        """What `read` gives, after a look at the file; errors name it."""
        if not data:
            raise ValueError(f"{name}: the file is empty")
        self.check_length(data, name)
        if is_sealed(data):
            raise ValueError(f"{name} is sealed, but this model reads plain files: `anybyte privacy undo` opens it")
        try:
            return read()
        except ValueError as error:
            raise error if str(error).startswith(name) else ValueError(f"{name}: {error}") from error

    def mix(
        self,
        data: bytes,
        name: str,
        other: bytes,
        other_name: str,
        weight: float,
        rng: np.random.Generator,
        *,
        cut: bool = False,
    ) -> Mixed | None:
        if not (self.mixes or cut):
            return None
        reading = self.before_mixing()
        first = reading(data, name, rng)
        try:
            second = reading(other, other_name, rng)
        except ValueError:
            return None
        if form_of(first) != form_of(second):
            return None
        if not cut:
            return Mixed(self.after_mixing(_sum(first, second, weight)), weight)
        pasted = self.cut(first, second, weight, rng)
        return pasted and Mixed(self.after_mixing(cast(Arrays, pasted.data)), pasted.weight)


def _stacked(views: Sequence[Arrays]) -> Arrays:
    """Several of one form, along a new first axis."""
    if isinstance(views[0], Mapping):
        return {name: np.stack([cast(Named, view)[name] for view in views]) for name in views[0]}
    return np.stack(cast(Sequence[NDArray[Any]], views))


def _sum(first: Arrays, second: Arrays, weight: float) -> Arrays:
    """`weight` times the first plus the rest of the second; of one form."""
    if isinstance(first, Mapping):
        assert isinstance(second, Mapping)
        return {name: _sum_arrays(first[name], second[name], weight) for name in first}
    assert not isinstance(second, Mapping)
    return _sum_arrays(first, second, weight)


def _sum_arrays(first: NDArray[Any], second: NDArray[Any], weight: float) -> NDArray[Any]:
    total: NDArray[Any] = first * first.dtype.type(weight) + second * second.dtype.type(1 - weight)
    return total
