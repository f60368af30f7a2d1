with

panel as (

    select * from {{ ref('stg_panel_labels') }}

),

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
        panel.*,
        pool.prompt_id,
        pool.prompt_cluster_id,
        case
            -- Benchmarks may have been added after the judges were asked, and duplicates been found.
            when contaminated.pair_id is not null then 'contaminated'
            when pool.pair_id is null and excluded.pair_id is not null then 'excluded_since'
            when pool.pair_id is null then 'not_in_pool'
            when splits.prompt_id is null then 'no_split'
            when not splits.usable then 'split_conflict'
            when splits.split <> 'train' then 'other_split'
            -- What people could not decide never reaches training through judges (method, section 3).
            when people.pair_id is not null then coalesce(people.why_not, 'verified_by_people')
            when panel.verdict = 'tie' then 'judges_tie'
            when panel.verdict = 'undecided' then 'judges_undecided'
        end as dropped_because
    from panel
    left join people using (pair_id)
    left join pool using (pair_id)
    left join contaminated using (pair_id)
    left join excluded using (pair_id)
    left join splits using (prompt_id)

)

select * from final
