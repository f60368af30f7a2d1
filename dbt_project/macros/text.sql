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
    Hashes of 1, 2, 4 ... words are combined to n (13 = 8 + 4 + 1): slicing the list of words once per n-gram takes
    five times as long, and zipping n shifted lists as much memory. At 64 bits, a billion n-grams against a hundred
    thousand of benchmarks collide with a probability of 5 in a million. -#}
{% macro ngram_hashes(words) -%}
  {%- set n = var('ngram') | int -%}
  {%- set steps = namespace(query='select list_transform(' ~ words ~ ', lambda word: hash(word)) as h1', length=1) -%}
  {%- for _ in range(30) if steps.length * 2 <= n -%}
    {%- set h = 'h' ~ steps.length -%}
    {%- set pairs = _combined([h, h ~ '[' ~ (steps.length + 1) ~ ':]']) -%}
    {%- set steps.query = 'select *, ' ~ pairs ~ ' as h' ~ (steps.length * 2) ~ ' from (' ~ steps.query ~ ')' -%}
    {%- set steps.length = steps.length * 2 -%}
  {%- endfor -%}
  {%- set parts, at = [], namespace(first=1, length=steps.length) -%}
  {%- for _ in range(31) if at.length >= 1 -%}
    {%- if at.first + at.length <= n + 1 -%}
      {%- do parts.append('h' ~ at.length ~ '[' ~ at.first ~ ':]') -%}
      {%- set at.first = at.first + at.length -%}
    {%- endif -%}
    {%- set at.length = at.length // 2 -%}
  {%- endfor -%}
  (select {{ _combined(parts) }} from ({{ steps.query }}))
{%- endmacro %}

{% macro _combined(lists) -%}
  list_transform(list_zip({{ lists | join(', ') }}, true), lambda parts: hash(parts))
{%- endmacro %}
