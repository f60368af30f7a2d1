with

candidates as (

    select * from {{ ref('int_gold_candidates') }}

),

final as (

    select
        {{ as_of_round() }} as as_of_round,
        pair_id,
        prompt_id,
        prompt_cluster_id,
        split,
        verdict,
        confidence,
        decided_by,
        num_votes,
        agreement
    from candidates
    where dropped_because is null

)

select * from final
order by pair_id
