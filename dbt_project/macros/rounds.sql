{#- Rounds are ordered as the run's configuration lists them, never by their names. -#}

{#- A list of the rounds up to and including the one asked for, as an SQL list of names. -#}
{% macro rounds_so_far() -%}
  {%- set rounds, last = var('rounds'), var('round') -%}
  {%- if last in rounds -%}
    ['{{ rounds[: rounds.index(last) + 1] | join("', '") }}']
  {%- elif execute -%}
    {{ exceptions.raise_compiler_error("var round is '" ~ last ~ "', which is none of var rounds: " ~ rounds) }}
  {%- endif -%}
{%- endmacro %}

{#- The round that gold, silver and mixtures are as of; it must have been said. -#}
{% macro as_of_round() -%}
  {%- if execute and var('lake_files') and not var('round') -%}
    {{ exceptions.raise_compiler_error("var round is not set") }}
  {%- endif -%}
  '{{ var("round") }}'
{%- endmacro %}
