{#- Text as decontamination compares it. -#}

{#- Last user turn; the last turn where no turn is the user's. -#}
{% macro last_user_turn(prompt) -%}
  coalesce(list_filter({{ prompt }}, lambda turn: turn.role = 'user')[-1].content, {{ prompt }}[-1].content)
{%- endmacro %}

{#- Lower case, runs of white space of any script as one space. -#}
{% macro fold(text) -%}
  trim(regexp_replace(lower({{ text }}), '[\s\x0b\x1c-\x1f\x85\p{Z}]+', ' ', 'g'))
{%- endmacro %}

{#- Words are runs of a-z and 0-9 or single characters beyond ASCII, in lower case. -#}
{% macro words(text) -%}
  regexp_extract_all(lower({{ text }}), '[a-z0-9]+|[^\x00-\x7f]')
{%- endmacro %}

{#- Hashes of all n-grams of a list of words, in order; an empty list for fewer than n words.
    Shifted lists of hashes are zipped: slicing the list of words once per n-gram takes five times as long. At 64
    bits, a billion n-grams against a hundred thousand of benchmarks collide with a probability of 5 in a million. -#}
{% macro ngram_hashes(words) -%}
  {%- set shifted = [] -%}
  {%- for first in range(1, (var('ngram') | int) + 1) -%}
    {%- do shifted.append('hashed[' ~ first ~ ':]') -%}
  {%- endfor -%}
  (
    select list_transform(list_zip({{ shifted | join(', ') }}, true), lambda gram: hash(gram))
    from (select list_transform({{ words }}, lambda word: hash(word)) as hashed)
  )
{%- endmacro %}
