with

pool as (

    select * from {{ published('candidate_pool') }} where stage = 2

),

splits as (

    select * from {{ ref('stg_prompt_splits') }}

),

best as (

    select * from {{ ref('stg_best_scores') }}

),

gold as (

    select * from {{ ref('stg_gold_scores') }}

),

scored as (

    select
        pool.pair_id,
        pool.source,
        pool.source_verdict,
        pool.conflict,
        pool.conflict or coalesce(pool.source_verdict in ('1', '2'), false) as has_claim,
        -- Of the source's chosen side; of response 1 where sources conflict or name no side.
        if(pool.source_verdict = '2', 1 - best.probability_1, best.probability_1) as p_best,
        if(pool.source_verdict = '2', 1 - gold.probability_1, gold.probability_1) as p_gold,
        splits.split,
        splits.usable
    from pool
    left join splits using (prompt_id)
    left join best using (pair_id)
    left join gold using (pair_id)

),

final as (

    select
        * exclude (split, usable),
        case
            when p_best > 0.5 + cast({{ var('band') }} as double) then 'for'
            when p_best < 0.5 - cast({{ var('band') }} as double) then 'against'
            else 'in_band'
        end as best_says,
        case
            when split is null then 'no_split'
            when not usable then 'split_conflict'
            when split <> 'train' then 'other_split'
            -- A pair without a claim to check is decided without scores.
            when not has_claim then null
            when p_best is null or p_gold is null then 'not_scored'
            when not (isfinite(p_best) and isfinite(p_gold)) then 'score_not_finite'
        end as dropped_because
    from scored

)

select * from final
