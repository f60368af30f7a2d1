with

pairs as (

    select pair_id, source, source_row, problem from {{ ref('stg_pairs') }}

),

labelled_rows as (

    select * from {{ ref('int_labelled_rows') }}

),

worst_hits as (

    select *
    from {{ ref('contamination_hits') }}
    qualify row_number() over (
        partition by prompt_id
        order by kind = 'exact' desc, num_shared_ngrams desc, benchmark, item_id
    ) = 1

),

problems as (

    select
        pair_id,
        source,
        source_row,
        problem as reason,
        cast(null as varchar) as detail
    from pairs
    where problem is not null

),

duplicates as (

    select
        rows.pair_id,
        rows.source,
        rows.source_row,
        -- Pairs are in canonical order, so swapped roles show as the opposite verdict on the same pair.
        case
            when (rows.verdict, first_rows.verdict) in (('1', '2'), ('2', '1')) then 'duplicate_role_swapped'
            else 'duplicate'
        end as reason,
        cast(
            json_object(
                'duplicate_of',
                json_object(
                    'pair_id', first_rows.pair_id, 'source', first_rows.source, 'source_row', first_rows.source_row
                )
            ) as varchar
        ) as detail
    from labelled_rows as rows
    inner join labelled_rows as first_rows
        on first_rows.pair_id = rows.pair_id
        and first_rows.place = 1
    where rows.place > 1

),

contaminated as (

    select
        labelled_rows.pair_id,
        labelled_rows.source,
        labelled_rows.source_row,
        'contaminated' as reason,
        cast(
            json_object(
                'benchmark', worst_hits.benchmark,
                'item', worst_hits.item_id,
                'kind', worst_hits.kind,
                'span', worst_hits.span
            ) as varchar
        ) as detail
    from labelled_rows
    inner join worst_hits using (prompt_id)
    where labelled_rows.place = 1

),

final as (

    select * from problems
    union all
    select * from duplicates
    union all
    select * from contaminated

)

select * from final
order by pair_id, source, source_row
