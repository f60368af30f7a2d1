select
    prompt_id,
    prompt_cluster_id
from {{ lake('prompt_clusters') }}
