{#- Row accounting of one table: rows in, rows out and rows dropped by reason; in = out + dropped is a test. -#}

{#- `rows_in`, `rows_out`: what to count, a relation or a query in brackets. `candidates`: has dropped_because. -#}
{% macro accounting(table_name, rows_in, rows_out, candidates) -%}
  select '{{ table_name }}' as table_name, 'in' as role, null as reason, count(*) as num_rows
  from {{ rows_in }} as came
  union all
  select '{{ table_name }}', 'out', null, count(*)
  from {{ rows_out }} as went
  union all
  select '{{ table_name }}', 'dropped', dropped_because, count(*)
  from {{ candidates }} as considered
  where dropped_because is not null
  group by dropped_because
{%- endmacro %}
