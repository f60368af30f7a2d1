with

pairs as (

    select * from {{ ref('stg_pairs') }} where problem is null

),

labels as (

    select * from {{ ref('stg_source_labels') }} where verdict <> 'undecided'

),

final as (

    select
        pairs.*,
        labels.verdict,
        row_number() over (
            partition by pairs.pair_id
            order by
                pairs.label_origin = 'human' and labels.verdict is not null desc,
                labels.verdict is not null desc,
                pairs.source,
                pairs.source_row
        ) as place
    from pairs
    left join labels
        on labels.pair_id = pairs.pair_id
        and labels.source = pairs.source
        and labels.source_row = pairs.source_row

)

select * from final
