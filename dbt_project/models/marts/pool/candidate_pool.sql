{{ config(materialized='view') }}

with

pairs as (

    select * from {{ ref('stg_pairs') }} where problem is null

),

labels as (

    select * from {{ ref('stg_source_labels') }} where verdict <> 'undecided'

),

prompt_clusters as (

    select * from {{ ref('stg_prompt_clusters') }}

),

suspect_rows as (

    select * from {{ ref('int_suspect_rows') }}

),

exclusions as (

    select
        pair_id,
        source,
        source_row,
        true as excluded
    from {{ ref('exclusions') }}

),

-- Every join of tables by row is on the source too, so that one source at a time can be asked for.
final as (

    select
        pair_id,
        prompt_id,
        coalesce(prompt_clusters.prompt_cluster_id, prompt_id) as prompt_cluster_id,
        source,
        source_row,
        pairs.label_origin,
        cast(if(pairs.label_origin = 'human', 1, 2) as tinyint) as stage,
        if(suspect_rows.conflict, null, labels.verdict) as source_verdict,
        coalesce(suspect_rows.conflict, false) as conflict,
        coalesce(suspect_rows.num_sources, 1) as num_sources,
        pairs.num_chars_prompt,
        pairs.num_chars_1,
        pairs.num_chars_2
    from pairs
    left join exclusions using (pair_id, source, source_row)
    left join suspect_rows using (pair_id, source, source_row)
    left join labels using (pair_id, source, source_row)
    left join prompt_clusters using (prompt_id)
    where exclusions.excluded is null

)

select * from final
