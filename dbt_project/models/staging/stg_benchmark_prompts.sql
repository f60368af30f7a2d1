with

items as (

    select
        benchmark,
        item_id,
        {{ last_user_turn('prompt') }} as text
    from {{ lake('benchmark_items') }}

),

final as (

    select
        benchmark,
        min(item_id) as item_id,
        count(*) as num_items,
        min_by(text, item_id) as text,
        {{ fold('text') }} as folded
    from items
    group by benchmark, folded

)

select * from final
