"""ByteFormer's experiments (Horton et al. 2023, arXiv 2306.00238): one file a table, one function a row."""
