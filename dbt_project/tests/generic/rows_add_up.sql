{#- Rows in = rows out + rows dropped, for every table of an accounting model. -#}
{% test rows_add_up(model) %}
select
    table_name,
    coalesce(sum(num_rows) filter (role = 'in'), 0) as rows_in,
    coalesce(sum(num_rows) filter (role <> 'in'), 0) as rows_out_or_dropped
from {{ model }}
group by table_name
having rows_in <> rows_out_or_dropped
{% endtest %}
