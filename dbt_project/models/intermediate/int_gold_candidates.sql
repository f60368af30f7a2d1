with

people as (

    select * from {{ ref('int_people_verdicts') }}

),

pool as (

    select pair_id, prompt_id, prompt_cluster_id from {{ published('candidate_pool') }}

),

splits as (

    select * from {{ ref('stg_prompt_splits') }}

),

contaminated as (

    select distinct pair_id from {{ ref('stg_contamination_hits') }}

),

excluded as (

    select distinct pair_id from {{ published('exclusions') }}

),

final as (

    select
        people.*,
        pool.prompt_id,
        pool.prompt_cluster_id,
        splits.split,
        case
            when people.why_not is not null then people.why_not
            -- Benchmarks may have been added after people labelled the pair.
            when contaminated.pair_id is not null then 'contaminated'
            -- It was in the pool when people were asked: deduplication and decontamination go on.
            when pool.pair_id is null and excluded.pair_id is not null then 'excluded_since'
            when pool.pair_id is null then 'not_in_pool'
            when splits.prompt_id is null then 'no_split'
            when not splits.usable then 'split_conflict'
        end as dropped_because
    from people
    left join pool using (pair_id)
    left join contaminated using (pair_id)
    left join excluded using (pair_id)
    left join splits using (prompt_id)

)

select * from final
