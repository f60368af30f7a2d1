select
    pair_id,
    pair_cluster_id,
    similarity
from {{ lake('pair_clusters') }}
