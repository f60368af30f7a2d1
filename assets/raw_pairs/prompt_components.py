"""Connected components of ids: which clusters have become one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def lowest_of_component(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.Table:
    """The lowest id of each connected component, for every id that a connection names.

    Args:
        one: an id (string) of each connection.
        other: the id it is connected with.

    Returns:
        Table of member and lowest, one row an id; ids are compared by their UTF-8 bytes.

    >>> found = lowest_of_component(pa.chunked_array([["c", "b"]]), pa.chunked_array([["b", "d"]]))
    >>> found.to_pydict()
    {'member': ['b', 'c', 'd'], 'lowest': ['b', 'b', 'b']}
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ids = pc.unique(pa.chunked_array([*one.chunks, *other.chunks], pa.string()))
    # In order of id, so that the lowest number of a component is its lowest id.
    ids = ids.take(pc.array_sort_indices(ids))
    rows, columns = (pc.index_in(side, ids).to_numpy() for side in (one, other))
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(ids), len(ids)))
    num_components, component = connected_components(graph, directed=False)
    lowest = np.full(num_components, len(ids))
    np.minimum.at(lowest, component, np.arange(len(ids)))
    return pa.table({"member": ids, "lowest": ids.take(pa.array(lowest[component]))})
