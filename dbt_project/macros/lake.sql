{#- Where models read from and write to. -#}

{% macro lake(table) -%}
  {{ _files_of(table, source('lake', table)) }}
{%- endmacro %}

{#- A model of an earlier layer, read from what was published of it rather than from this database. -#}
{% macro published(model) -%}
  {{ _files_of(model, ref(model)) }}
{%- endmacro %}

{#- With no files at all, which is how unit tests and a plain `dbt parse` run, the relation itself. -#}
{% macro _files_of(name, relation) -%}
  {%- set lake_files = var('lake_files') -%}
  {%- if not lake_files -%}
    {{ relation }}
  {%- elif lake_files.get(name) -%}
    {%- set quoted = [] -%}
    {%- for file in lake_files[name] -%}
      {%- do quoted.append("'" ~ (file | replace("'", "''")) ~ "'") -%}
    {%- endfor -%}
    {#- A folder named source=x must not override the column of that name. -#}
    read_parquet([{{ quoted | join(', ') }}], hive_partitioning = false)
  {%- elif execute -%}
    {{ exceptions.raise_compiler_error("var lake_files names no files of " ~ name) }}
  {%- endif -%}
{%- endmacro %}

{% macro write_parquet(relation) -%}
  {%- if execute and var('out') -%}
    {%- set file = (var('out') ~ '/' ~ relation.identifier ~ '.parquet') | replace("'", "''") -%}
    copy {{ relation }} to '{{ file }}' (format parquet, compression zstd)
  {%- endif -%}
{%- endmacro %}
