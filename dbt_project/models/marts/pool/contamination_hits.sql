with

pool_prompts as (

    select
        prompt_id,
        text,
        {{ fold('text') }} as folded
    from {{ ref('stg_pool_prompts') }}

),

benchmark_prompts as (

    select *, hash(folded) as text_id from {{ ref('stg_benchmark_prompts') }}

),

exact_hits as (

    select
        pool_prompts.prompt_id,
        benchmark_prompts.benchmark,
        benchmark_prompts.item_id
    from pool_prompts
    inner join benchmark_prompts using (folded)

),

benchmark_texts as (

    select text_id, min(text) as text
    from benchmark_prompts
    group by text_id

),

benchmark_ngrams as (

    select distinct
        text_id,
        unnest({{ ngram_hashes(words('text')) }}) as ngram
    from benchmark_texts

),

boilerplate as (

    select ngram
    from benchmark_ngrams
    group by ngram
    having count(*) > {{ var('max_benchmark_prompts') }}

),

telling_ngrams as (

    select text_id, ngram
    from benchmark_ngrams
    anti join boilerplate using (ngram)

),

pool_ngrams as (

    select
        prompt_id,
        unnest(ngrams) as ngram,
        generate_subscripts(ngrams, 1) as position
    from (select prompt_id, {{ ngram_hashes(words('text')) }} as ngrams from pool_prompts)

),

ngram_hits as (

    select
        pool_ngrams.prompt_id,
        telling_ngrams.text_id,
        count(distinct ngram) as num_shared_ngrams,
        min(pool_ngrams.position) as position
    from pool_ngrams
    inner join telling_ngrams using (ngram)
    group by pool_ngrams.prompt_id, telling_ngrams.text_id

),

-- The same text may stand in several benchmarks.
benchmark_hits as (

    select
        ngram_hits.* exclude (text_id),
        benchmark_prompts.benchmark,
        benchmark_prompts.item_id
    from ngram_hits
    inner join benchmark_prompts using (text_id)

),

final as (

    select
        prompt_id,
        benchmark,
        item_id,
        benchmark_prompts.num_items,
        if(exact_hits.prompt_id is not null, 'exact', '{{ var("ngram") }}gram') as kind,
        coalesce(benchmark_hits.num_shared_ngrams, 0) as num_shared_ngrams,
        array_to_string(
            {{ words('pool_prompts.text') }}
                [coalesce(benchmark_hits.position, 1) : coalesce(benchmark_hits.position, 1) + {{ var('ngram') }} - 1],
            ' '
        ) as span
    from exact_hits
    full join benchmark_hits using (prompt_id, benchmark, item_id)
    inner join pool_prompts using (prompt_id)
    inner join benchmark_prompts using (benchmark, item_id)

)

select * from final
order by prompt_id, benchmark, item_id
