with

items as (

    select
        benchmark,
        min(item_id) as item_id,
        count(*) as num_items,
        {{ last_user_turn('any_value(prompt)') }} as text
    from {{ lake('benchmark_items') }}
    group by benchmark, prompt_id

),

final as (

    select
        benchmark,
        min(item_id) as item_id,
        cast(sum(num_items) as bigint) as num_items,
        min_by(text, item_id) as text,
        {{ fold('text') }} as folded
    from items
    where regexp_matches(text, '\S')
    group by benchmark, folded

)

select * from final
