with

labelled_rows as (

    select * from {{ ref('int_labelled_rows') }}

),

exclusions as (

    select pair_id, source, source_row from {{ ref('exclusions') }}

),

conflicts as (

    select pair_id from {{ ref('conflicts') }}

),

num_sources as (

    select pair_id, count(distinct source) as num_sources
    from labelled_rows
    group by pair_id

),

final as (

    select
        pair_id,
        rows.prompt_id,
        rows.prompt_cluster_id,
        rows.source,
        rows.source_row,
        rows.label_origin,
        cast(if(rows.label_origin = 'human', 1, 2) as tinyint) as stage,
        if(conflicts.pair_id is null, rows.verdict, null) as source_verdict,
        conflicts.pair_id is not null as conflict,
        num_sources.num_sources,
        rows.num_chars_prompt,
        rows.num_chars_1,
        rows.num_chars_2
    from labelled_rows as rows
    anti join exclusions using (pair_id, source, source_row)
    left join conflicts using (pair_id)
    left join num_sources using (pair_id)

)

select * from final
order by pair_id
