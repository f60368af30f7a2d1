with

labels as (

    select * from {{ ref('int_suspect_rows') }}
    where
        problem is null
        and conflict
        and verdict in ('1', '2')

),

final as (

    select
        pair_id,
        count(*) filter (verdict = '1') as num_labels_1,
        count(*) filter (verdict = '2') as num_labels_2,
        cast(
            to_json(
                list(
                    {'source': source, 'labeller': source, 'verdict': verdict, 'source_row': source_row}
                    order by source, source_row
                )
            ) as varchar
        ) as evidence
    from labels
    group by pair_id

)

select * from final
order by pair_id
