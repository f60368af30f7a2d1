{#- Every value is found in a column of the same name of another model, read as it was published. -#}
{% test found_in(model, column_name, to) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} not in (select {{ column_name }} from {{ published(to) }})
{% endtest %}
