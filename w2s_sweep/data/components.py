"""Groups that share a row become one group, named by its least member, as long as it stays small.

Without the bound a few common sentences chain a quarter of a data set into one group, which no split can halve.
"""

from collections.abc import Sequence

import numpy as np

from w2s_sweep.data.hashing import Hashes

MOST_ROWS = 100
"""Rows of the largest group that links may make; groups that are larger by themselves stay as they are."""


def components(groups: Sequence[Hashes], links: Sequence[Hashes]) -> list[Hashes]:
    """The group of each row, pool by pool, after every row's group and link were made one.

    Links are followed in the order of their hashes, so neither the order of rows nor that of pools matters.
    """
    all_groups, all_links = np.concatenate(groups), np.concatenate(links)
    if np.array_equal(all_groups, all_links):
        return list(groups)
    names, members = np.unique(np.concatenate([all_groups, all_links]), return_inverse=True)
    own = members[: len(all_groups)]
    edges = np.unique(np.stack([members[len(all_groups) :], own], axis=1), axis=0)
    roots = np.array(_roots(np.bincount(own, minlength=len(names)).tolist(), edges.tolist()))
    return np.split(names[roots[own]], np.cumsum([len(pool) for pool in groups])[:-1])


def _roots(rows: list[int], edges: list[list[int]]) -> list[int]:
    """The least node that each node is joined to (union-find with path halving). `rows`: rows of each node."""
    parent = list(range(len(rows)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for left, right in edges:
        low, high = sorted((root(left), root(right)))
        if low != high and rows[low] + rows[high] <= MOST_ROWS:
            parent[high] = low
            rows[low] += rows[high]
    return [root(node) for node in range(len(parent))]
