#include "mpi/description.h"

#include "common/key.h"
#include "node/packing.h"
#include <stdlib.h>
#include <string.h>

static char *copy(const char *text, bool *failed)
{
    char *made = text ? strdup(text) : NULL;

    *failed |= text && !made;
    return made;
}

static const char *const *copy_all(const char *const *texts, size_t n, bool *failed)
{
    char **made = calloc(n + 1, sizeof *made);

    *failed |= !made;
    for (size_t i = 0; made && texts && i < n; i++)
        made[i] = copy(texts[i], failed);
    return (const char *const *)made;
}

bool tqi_description_copy(tq_job *to, const tq_job *from)
{
    const char *tmpdir = from->tmpdir ? from->tmpdir : getenv("TMPDIR");
    bool failed = false;

    if (from->abi != TQ_JOB_ABI) { /* nothing else can be believed */
        *to = (tq_job){.abi = from->abi};
        return true;
    }
    *to = *from;
    to->inputs = copy_all(from->inputs, from->n_inputs, &failed);
    to->counters = copy_all(from->counters, from->n_counters, &failed);
    to->output_paths = copy_all(from->output_paths, from->n_outputs, &failed);
    to->name = copy(from->name ? from->name : "job", &failed);
    to->output_path = copy(from->output_path, &failed);
    to->tmpdir = copy(tmpdir && tmpdir[0] ? tmpdir : "/tmp", &failed);
    to->side_path = copy(from->side_path, &failed);
    to->key_name = copy(from->key_name ? from->key_name : "key", &failed);
    to->value_name = copy(from->value_name ? from->value_name : "value", &failed);
    if (to->reduce_keys && to->order == TQ_ORDER_NONE) /* its rows come by partitions, which depend on the ranks */
        to->order = TQ_ORDER_KEY;
    return !failed;
}

static void free_all(const char *const *texts, size_t n)
{
    for (size_t i = 0; texts && i < n; i++)
        free((char *)texts[i]);
    free((char **)texts);
}

void tqi_description_free(tq_job *description)
{
    free_all(description->inputs, description->n_inputs);
    free_all(description->counters, description->n_counters);
    free_all(description->output_paths, description->n_outputs);
    free((char *)description->name);
    free((char *)description->output_path);
    free((char *)description->tmpdir);
    free((char *)description->side_path);
    free((char *)description->key_name);
    free((char *)description->value_name);
}

static bool has_reducer(const tq_job *job)
{
    return job->reduce || job->reduce_keys;
}

static const char *wrong_values(const tq_job *job)
{
    if ((unsigned)job->value_type > TQ_BYTES || (unsigned)job->combine > TQ_STATS)
        return "value_type or combine is none of the known ones";
    if (job->value_type == TQ_FIXED && (job->value_bytes < 1 || job->value_bytes > 65536))
        return "value_bytes must be 1 to 65536 for TQ_FIXED values";
    if (job->value_type == TQ_BYTES && job->combine != TQ_COMBINE_NONE)
        return "TQ_BYTES values cannot be combined";
    if (job->value_type != TQ_I64 && job->combine != TQ_COMBINE_NONE && job->combine != TQ_COMBINE_USER)
        return "TQ_SUM, TQ_MIN, TQ_MAX and TQ_STATS need TQ_I64 values";
    if (job->combine == TQ_COMBINE_USER && !job->combine_fn)
        return "TQ_COMBINE_USER needs a combine_fn";
    if (job->reduce && job->reduce_keys)
        return "at most one of reduce and reduce_keys can be set";
    if ((unsigned)job->values_order > TQ_VALUES_ARRIVAL)
        return "values_order is none of the known ones";
    if (job->values_order == TQ_VALUES_ARRIVAL &&
        (!job->reduce || job->combine != TQ_COMBINE_NONE || job->map_split || job->dense))
        return "TQ_VALUES_ARRIVAL needs reduce, and is not for a combiner, map_split or a dense result";
    if (job->group && !job->reduce)
        return "group is for jobs with reduce";
    if (has_reducer(job) && job->result_type != TQ_I64 && job->result_type != TQ_BYTES)
        return "result_type must be TQ_I64 or TQ_BYTES";
    return NULL;
}

static const char *wrong_outputs(const tq_job *job)
{
    if (!job->choose_output != !job->n_outputs)
        return "output_paths and choose_output need each other";
    if (job->n_outputs > TQ_MAX_OUTPUTS)
        return "there are more outputs than TQ_MAX_OUTPUTS";
    if (job->n_outputs && job->output != TQ_OUTPUT_FILE)
        return "output_paths need TQ_OUTPUT_FILE";
    if (job->n_outputs && job->output_path)
        return "a job has output_path or output_paths, not both";
    if (job->n_outputs && job->write_in_order)
        return "rows of several outputs cannot be written in order, on one rank";
    for (size_t i = 0; i < job->n_outputs; i++) {
        if (!job->output_paths[i] || !job->output_paths[i][0])
            return "output_paths, or one of them, is NULL or empty";
        for (size_t j = 0; j < i; j++)
            if (strcmp(job->output_paths[j], job->output_paths[i]) == 0)
                return "two outputs have the same path";
    }
    return NULL;
}

static const char *wrong_output(const tq_job *job)
{
    bool is_number =
        has_reducer(job) ? job->result_type == TQ_I64 : job->value_type == TQ_I64 && job->combine != TQ_STATS;

    if ((unsigned)job->order > TQ_ORDER_USER || (unsigned)job->output > TQ_OUTPUT_FD ||
        (unsigned)job->format > TQ_JSON || (unsigned)job->row_text > TQ_ROW_LINE)
        return "order, output, format or row_text is none of the known ones";
    if (job->order == TQ_ORDER_STABLE && (job->combine != TQ_COMBINE_NONE || has_reducer(job)))
        return "TQ_ORDER_STABLE is for jobs without combiner and reducer";
    if (job->order == TQ_ORDER_STABLE && job->map_split)
        return "TQ_ORDER_STABLE needs map or map_chunk: with map_split the input cannot be sampled";
    if (job->order == TQ_ORDER_STABLE && job->partition)
        return "TQ_ORDER_STABLE has no partitions: it cannot be had with partition";
    if (job->order == TQ_ORDER_STABLE && job->dense)
        return "a dense result has no input position for TQ_ORDER_STABLE";
    if (job->unique && (job->order != TQ_ORDER_STABLE || job->limit))
        return "unique needs TQ_ORDER_STABLE, and no limit";
    if (job->row_text >= TQ_ROW_VALUE_BYTES && job->combine == TQ_STATS && !has_reducer(job))
        return "the rows of TQ_STATS have columns: row_text cannot be of bytes";
    if (job->order == TQ_ORDER_VALUE_DESC && !is_number)
        return "TQ_ORDER_VALUE_DESC needs TQ_I64 results";
    if (job->order == TQ_ORDER_USER && !job->compare)
        return "TQ_ORDER_USER needs a compare";
    if (job->output == TQ_OUTPUT_FILE && !job->choose_output && (!job->output_path || !job->output_path[0]))
        return "TQ_OUTPUT_FILE needs an output_path";
    return wrong_outputs(job);
}

static const char *wrong_compression(const tq_job *job)
{
    if ((unsigned)job->spill_compression > TQ_COMPRESSION_ZSTD)
        return "spill_compression is none of the known ones";
    if (tqi_packing_built(job->spill_compression))
        return NULL;
    return job->spill_compression == TQ_COMPRESSION_LZ4
               ? "what is spilled cannot be compressed by LZ4: this tequio was built without liblz4"
               : "what is spilled cannot be compressed by zstd: this tequio was built without libzstd";
}

static const char *wrong_counters(const tq_job *job)
{
    if (job->n_counters > TQ_MAX_COUNTERS)
        return "there are more counters than TQ_MAX_COUNTERS";
    for (size_t i = 0; i < job->n_counters; i++) {
        const char *name = job->counters[i];

        if (!name || !name[0])
            return "counters, or one of them, is NULL or empty";
        for (const char *at = name; *at; at++)
            if (*at <= ' ' || *at > '~')
                return "the name of a counter has bytes that are not graphic ASCII";
        for (size_t j = 0; j < i; j++)
            if (strcmp(job->counters[j], name) == 0)
                return "two counters have the same name";
    }
    return NULL;
}

static const char *wrong_input(const tq_job *job)
{
    if ((job->map != NULL) + (job->map_chunk != NULL) + (job->map_split != NULL) + (job->map_row != NULL) != 1)
        return "exactly one of map, map_chunk, map_split and map_row must be set";
    if (job->map_row && !job->rows)
        return "map_row needs rows, the future of an earlier job";
    if (job->rows && !job->map_row)
        return "rows, of an earlier job, need map_row";
    if (job->rows && (job->n_inputs != 0 || job->feed))
        return "a job has inputs, a feed or the rows of an earlier job, not two of them";
    for (size_t i = 0; i < job->n_inputs; i++)
        if (!job->inputs[i])
            return "inputs, or one of them, is NULL";
    if (job->n_inputs == 0 && !job->feed && !job->rows)
        return "no input is given";
    if (job->n_inputs != 0 && job->feed)
        return "a job has inputs or a feed, not both";
    if ((unsigned)job->records > TQ_FIXED_RECORDS)
        return "records is none of the known ones";
    if ((unsigned)job->decompress > TQ_DECOMPRESS_NONE)
        return "decompress is none of the known ones";
    if (job->records == TQ_FIXED_RECORDS && (job->record_bytes < 1 || job->record_bytes > TQI_KEY_MAX))
        return "record_bytes must be 1 byte to 1 GiB for TQ_FIXED_RECORDS";
    if (job->header && job->records != TQ_LINES)
        return "only TQ_LINES have a header";
    if (job->header && (job->map_split || job->map_row))
        return "a header is not for map_split and map_row";
    if (job->own_headers && !job->header)
        return "own_headers needs header";
    if (job->side && job->side_path)
        return "side data are given or in a file, not both";
    return NULL;
}

const char *tqi_description_wrong(const tq_job *job)
{
    if (job->abi != TQ_JOB_ABI)
        return "the job was not initialized with TQ_JOB_INIT, or was compiled for another version of tequio";
    const char *reason = wrong_input(job);
    if (!reason)
        reason = wrong_values(job);
    if (!reason)
        reason = wrong_compression(job);
    if (!reason)
        reason = wrong_counters(job);
    if (!reason && job->dense_rows && job->dense == 0)
        reason = "dense_rows needs a dense result";
    if (!reason && job->dense > SIZE_MAX / 2 / sizeof(int64_t) / (TQ_MAX_WORKERS + 1))
        reason = "dense is too large";
    return reason ? reason : wrong_output(job);
}
