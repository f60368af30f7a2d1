with

pair_clusters as (

    select * from {{ ref('stg_pair_clusters') }}

),

-- One hit of each pair, the worst: rows of a pair have the same texts.
hits as (

    select * exclude (source, source_row)
    from {{ ref('stg_contamination_hits') }}
    qualify row_number() over (
        partition by pair_id
        order by kind = 'exact' desc, num_shared_ngrams desc nulls last, benchmark, item_id, text, benchmark_text
    ) = 1

),

problems as (

    select
        pair_id,
        source,
        source_row,
        problem as reason,
        cast(null as varchar) as detail
    from {{ ref('int_suspect_rows') }}
    where problem is not null

),

representatives as (

    select * from {{ ref('int_suspect_rows') }}
    where
        problem is null
        and place = 1

),

duplicates as (

    select
        pair_id,
        source,
        source_row,
        -- Pairs are in canonical order, so swapped roles show as the opposite verdict on the same pair.
        case
            when (verdict, representative.verdict) in (('1', '2'), ('2', '1')) then 'duplicate_role_swapped'
            else 'duplicate'
        end as reason,
        {{ duplicate_of('pair_id', 'representative') }} as detail
    from {{ ref('int_suspect_rows') }}
    where
        problem is null
        and place > 1

),

contaminated as (

    select
        pair_id,
        source,
        source_row,
        'contaminated' as reason,
        cast(
            json_object(
                'benchmark', hits.benchmark,
                'item', hits.item_id,
                'text', hits.text,
                'benchmark_text', hits.benchmark_text,
                'kind', hits.kind,
                'span', hits.span
            ) as varchar
        ) as detail
    from representatives
    inner join hits using (pair_id)

),

-- Contaminated rows are gone by now: one that stays must represent its cluster.
cluster_members as (

    select
        representatives.*,
        pair_clusters.pair_cluster_id,
        pair_clusters.similarity
    from representatives
    inner join pair_clusters using (pair_id)
    anti join contaminated using (pair_id)

),

ranked_members as (

    select
        *,
        first({'pair_id': pair_id, 'source': source, 'source_row': source_row}) over in_cluster as first_member,
        row_number() over in_cluster as cluster_place
    from cluster_members
    window in_cluster as (partition by pair_cluster_id order by {{ representative_first() }})

),

near_duplicates as (

    select
        pair_id,
        source,
        source_row,
        'near_duplicate' as reason,
        {{ duplicate_of('first_member.pair_id', 'first_member', similarity='similarity') }} as detail
    from ranked_members
    where cluster_place > 1

),

final as (

    select * from problems
    union all
    select * from duplicates
    union all
    select * from contaminated
    union all
    select * from near_duplicates

)

select * from final
order by pair_id, source, source_row
