"""Inputs of a Perceiver: arrays -> tokens [batch, tokens, channels] with positions (Jaegle et al. 2022, appendix).

Arrays have their channels last: images [batch, height, width, 3], frames [batch, 2, height, width, 3].

    sequences.py   token ids, files
    arrays.py      images, video, sound, spectrograms, series, sets; frames; labels; points
    patches.py     space to depth
    combined.py    several inputs as one array
"""

from __future__ import annotations

from anybyte.models.inputs.combined import Arrays, Inputs, Masks, Tokens, check_mask
from anybyte.models.inputs.patches import Grid, frame_patches
from anybyte.models.inputs.sequences import BytesInput, TokenInput

__all__ = [
    "Arrays",
    "BytesInput",
    "Grid",
    "Inputs",
    "Masks",
    "TokenInput",
    "Tokens",
    "check_mask",
    "frame_patches",
]
