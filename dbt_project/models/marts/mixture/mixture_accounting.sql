with

wild_pool as (

    select * from {{ ref('int_wild_pool') }}

),

candidates as (

    select * from {{ ref('int_mixture_candidates') }}

),

decisions as (

    select 'decisions' as table_name, 'in' as role, null as reason, count(*) as num_rows
    from {{ published('candidate_pool') }}
    where stage = 2
    union all
    select 'decisions', 'out', null, count(*) from {{ ref('decisions') }}
    union all
    select 'decisions', 'dropped', dropped_because, count(*)
    from wild_pool
    where dropped_because is not null
    group by dropped_because

),

mixtures as (

    {% for mixture, mixture_id in var('mixture_ids').items() %}
    select
        '{{ mixture }}' as table_name,
        'in' as role,
        null as reason,
        (select count(*) from {{ published('gold') }} where as_of_round = {{ as_of_round() }})
            + (select count(*) from {{ published('silver') }} where as_of_round = {{ as_of_round() }})
            + (select count(*) from {{ ref('decisions') }}) as num_rows
    union all
    select '{{ mixture }}', 'out', null, count(*)
    from {{ ref('mixtures') }}
    where mixture_id = '{{ mixture_id }}'
    union all
    select '{{ mixture }}', 'dropped', dropped_because, count(*)
    from candidates
    where dropped_because is not null
    group by dropped_because
    {% if mixture == 'kept' %}
    union all
    select '{{ mixture }}', 'dropped', 'flipped', count(*)
    from candidates
    where dropped_because is null and provenance = 'flipped'
    having count(*) > 0
    {% endif %}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

final as (

    select * from decisions
    union all
    select * from mixtures

)

select * from final
order by table_name, role, reason
