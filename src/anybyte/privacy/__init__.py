"""What is done to the bytes of a file before a model reads them, so that fewer people can (Horton et al. 2023, 4.3).

What each of these protects, from whom, and what it does not is in docs/privacy.md.
"""
