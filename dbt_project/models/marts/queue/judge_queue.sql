with

wild_pool as (

    select * from {{ ref('int_wild_pool') }}

),

asked as (

    select
        pair_id,
        if(conflict, 'conflict', best_says) as reason,
        p_best,
        p_gold
    from wild_pool
    where dropped_because is null and has_claim and (conflict or best_says <> 'for')

),

final as (

    select
        pair_id,
        row_number() over (order by reason = 'conflict' desc, abs(p_best - 0.5), pair_id) as priority,
        reason,
        p_best,
        p_gold,
        priority <= {{ var('max_judged_pairs') }} as afforded
    from asked

)

select * from final
order by pair_id
