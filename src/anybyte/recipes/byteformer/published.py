"""Accuracies that were published for the paper's experiments: their one home.

Only what could be read at its source stands here. Most rows of the paper's tables could not, and have none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Top-1 accuracy in percent, as published.

    Attributes:
        paper: in the paper (arXiv 2306.00238, abstract). None: not read there.
        checkpoint: of the weights that were released, as their README states it (apple/corenet, projects/byteformer).
            None: none were released.
    """

    paper: float | None = None
    checkpoint: float | None = None

    @property
    def top1(self) -> float | None:
        """The paper's number, or else that of the released weights."""
        return self.checkpoint if self.paper is None else self.paper


PUBLISHED: dict[str, Published] = {
    "byteformer/imagenet_tiff": Published(paper=77.33, checkpoint=77.05),
    "byteformer/imagenet_jpeg_q100_k8": Published(checkpoint=67.64),
    "byteformer/imagenet_jpeg_q60_k4_w128": Published(checkpoint=62.43),
    "byteformer/imagenet_order_reverse": Published(checkpoint=61.14),
    "byteformer/imagenet_noise_20": Published(checkpoint=76.00),
    "byteformer/imagenet_camera_keep_05": Published(checkpoint=68.10),
    "byteformer/imagenet_camera_keep_10": Published(paper=71.35),
    "byteformer/speech_commands_wav_float32_k32": Published(checkpoint=94.95),
    "byteformer/speech_commands_mp3_k4_w32": Published(checkpoint=90.25),
}
"""Recipe -> its accuracies. The paper's best on Speech Commands, 95.42, is of a WAV row that its abstract does not
name, so it stands at none."""


def published(name: str) -> Published:
    """What was published for the recipe of this name; both numbers None if nothing was that we could read."""
    return PUBLISHED.get(name, Published())
