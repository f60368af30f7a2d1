{{ config(materialized='table', tags=['pool']) }}

with

repeated as (

    select hash(pair_id) as pair_hash
    from {{ ref('stg_pairs') }}
    where problem is null
    group by pair_hash
    having count(*) > 1

),

final as (

    select pair_hash from repeated
    union
    select hash(pair_id) from {{ ref('stg_pair_clusters') }}
    union
    select hash(pair_id) from {{ ref('stg_contamination_hits') }}

)

select * from final
