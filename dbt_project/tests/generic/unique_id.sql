{#- Like `unique`, for many millions of ids: 64 bits find the few that may repeat, which are then compared whole. -#}
{% test unique_id(model, column_name) %}
with repeated as (
    select hash({{ column_name }}) as id_hash
    from {{ model }}
    where {{ column_name }} is not null
    group by id_hash
    having count(*) > 1
)

select {{ column_name }}, count(*) as num_rows
from {{ model }}
where hash({{ column_name }}) in (select id_hash from repeated)
group by {{ column_name }}
having count(*) > 1
{% endtest %}
