with

candidates as (

    select * from {{ ref('int_silver_candidates') }}

),

final as (

    select
        {{ as_of_round() }} as as_of_round,
        pair_id,
        prompt_id,
        prompt_cluster_id,
        verdict,
        confidence,
        num_judges,
        agreement
    from candidates
    where dropped_because is null

)

select * from final
order by pair_id
