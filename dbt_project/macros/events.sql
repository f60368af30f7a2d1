{#- The ledger: which events of a selection are in force. -#}

{#- Events of the rounds so far that no later event supersedes, with `place` as their order in the ledger. -#}
{% macro events_in_force(events, rounds=none) -%}
  select *
  from (
    select *, {% if rounds %}list_position({{ rounds }}, round){% else %}0{% endif %} as round_number
    from {{ events }}
    {% if rounds %}where list_contains({{ rounds }}, round){% endif %}
  ) as known
  where event_id not in (
    select supersedes
    from {{ events }}
    where supersedes is not null
    {% if rounds %}and list_contains({{ rounds }}, round){% endif %}
  )
{%- endmacro %}
