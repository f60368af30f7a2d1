{#- No value is found in a column of the same name of another model, read as it was published for the same round. -#}
{% test not_found_in(model, column_name, to) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} in (
    select {{ column_name }} from {{ published(to) }} where as_of_round = {{ as_of_round() }}
)
{% endtest %}
