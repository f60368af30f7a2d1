{#- Which hits on benchmarks exclude a pair. -#}

{#- A condition on a row of contamination_hits: its class, `text:benchmark_text` with both responses as one, is among
    var contamination_excludes, it shares enough n-grams where a response is of the two (var
    min_shared_ngrams_of_responses), and it is no paraphrase where var paraphrase_excludes is false. -#}
{% macro hit_excludes() -%}
  {%- set known = ['prompt:prompt', 'prompt:response', 'response:prompt', 'response:response'] -%}
  {%- set classes = [] -%}
  {%- for class in var('contamination_excludes') -%}
    {%- if class in known -%}
      {%- do classes.append("'" ~ class ~ "'") -%}
    {%- elif execute -%}
      {{ exceptions.raise_compiler_error("var contamination_excludes holds '" ~ class ~ "', which is none of " ~ known) }}
    {%- endif -%}
  {%- endfor -%}
  {%- if classes -%}
    if(text = 'prompt', 'prompt', 'response') || ':' || benchmark_text in ({{ classes | join(', ') }})
    and (
        text || benchmark_text = 'promptprompt'
        or num_shared_ngrams >= {{ var('min_shared_ngrams_of_responses') | int }}
    )
  {%- else -%}
    false
  {%- endif -%}
  {%- if not var('paraphrase_excludes') %} and kind <> 'paraphrase' {%- endif -%}
{%- endmacro %}
