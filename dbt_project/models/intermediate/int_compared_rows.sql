{{ config(materialized='table', tags=['pool']) }}

with

pairs as (

    select * from {{ ref('stg_pairs') }} where problem is null

),

pair_clusters as (

    select pair_id from {{ ref('stg_pair_clusters') }}

),

contamination_hits as (

    select pair_id from {{ ref('stg_contamination_hits') }}

),

-- 64 bits find the few pairs that matter among all; what is said of them is decided by whole ids below.
repeated as (

    select hash(pair_id) as pair_hash
    from pairs
    group by pair_hash
    having count(*) > 1

),

compared as (

    select pair_hash from repeated
    union
    select hash(pair_id) from pair_clusters
    union
    select hash(pair_id) from contamination_hits

),

rows as (

    select
        pair_id,
        source,
        source_row,
        label_origin
    from pairs
    where hash(pair_id) in (select pair_hash from compared)

),

labels as (

    select *
    from {{ ref('stg_source_labels') }}
    where
        hash(pair_id) in (select pair_hash from compared)
        and verdict <> 'undecided'

),

labelled_rows as (

    select
        rows.*,
        labels.verdict,
        labels.confidence
    from rows
    left join labels using (pair_id, source, source_row)

),

final as (

    select
        *,
        row_number() over (partition by pair_id order by {{ representative_first() }}) as place,
        count(distinct source) over (partition by pair_id) as num_sources,
        bool_or(verdict = '1') over (partition by pair_id)
        and bool_or(verdict = '2') over (partition by pair_id) as conflict
    from labelled_rows

)

select
    * exclude (conflict),
    coalesce(conflict, false) as conflict
from final
