{#- Which of several rows represents the rest. -#}

{#- Order of rows, the representative first: a label by people, then any label, then higher agreement behind it, then
    the order of sources' names and rows. -#}
{% macro representative_first() -%}
  label_origin = 'human' and verdict is not null desc,
  verdict is not null desc,
  confidence desc nulls last,
  source,
  source_row,
  pair_id
{%- endmacro %}

{#- JSON that names the row in place of which another is excluded: its pair, and its source and source_row. -#}
{% macro duplicate_of(pair_id, row, similarity=none) -%}
  cast(
    json_object(
      'duplicate_of',
      json_object('pair_id', {{ pair_id }}, 'source', {{ row }}.source, 'source_row', {{ row }}.source_row)
      {%- if similarity %}, 'similarity', {{ similarity }} {%- endif %}
    ) as varchar
  )
{%- endmacro %}
