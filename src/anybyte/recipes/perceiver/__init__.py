"""The Perceivers' experiments at paper size (Jaegle et al. 2021, arXiv 2103.03206; 2022, arXiv 2107.14795).

One file a task; what a paper leaves open is said where it is chosen. Their small twins are in `recipes/small/`.
"""
