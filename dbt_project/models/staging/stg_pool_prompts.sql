with

pairs as (

    select * from {{ ref('stg_pairs') }} where problem is null

),

-- One row stands for all rows of a prompt, chosen without touching the text.
representatives as (

    select min((source, source_row, pair_id)) as key
    from pairs
    group by prompt_id

),

final as (

    select
        texts.prompt_id,
        {{ last_user_turn('texts.prompt') }} as text
    from {{ lake('pairs') }} as texts
    inner join representatives
        on representatives.key = (texts.source, texts.source_row, texts.pair_id)

)

select * from final
