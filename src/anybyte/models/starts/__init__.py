"""Starts that know where things are: values that a Perceiver's own parts may begin with, in place of random ones.

    places.py      latents that begin at the places of a grid of pixels or samples
    text.py        the same in a text
    transform.py   values, too: a cosine transform of each patch, for autoencoders
    matching.py    a comparison of pixels, for optical flow

No layer is added, and all of it is learned from there. Which start a model has is a setting of its config.
"""
