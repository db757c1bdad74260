#include "mpi/outputs.h"

#include "common/error.h"
#include <stdlib.h>

tq_status tqi_outputs_open(tqi_outputs *outputs, const tq_job *asked, const atomic_bool *stop, tq_error *error)
{
    size_t n = asked->n_outputs ? asked->n_outputs : 1;

    *outputs = (tqi_outputs){.each = calloc(n, sizeof(tqi_output)), .framed = asked->n_outputs > 0};
    if (!outputs->each)
        return tqi_fail_memory(error, n * sizeof(tqi_output), "the outputs");
    for (; outputs->n < n; outputs->n++) {
        const char *path = outputs->framed ? asked->output_paths[outputs->n] : asked->output_path;

        if (tqi_output_open(&outputs->each[outputs->n], asked->output, path, asked->output_fd, stop, error)) {
            tqi_outputs_discard(outputs);
            return error->status;
        }
    }
    return TQ_OK;
}

tq_status tqi_outputs_write(tqi_outputs *outputs, const char *data, size_t size, tq_error *error)
{
    tq_slice piece = {data, size};
    tq_status status = TQ_OK;
    size_t output;

    if (!outputs->framed)
        return tqi_output_write(&outputs->each[0], data, size, error);
    while (piece.size > 0 && !status) {
        tq_slice text = tqi_frame_next(&outputs->reader, &piece, &output);

        if (text.size == 0)
            break;
        if (output >= outputs->n)
            return tqi_fail(error, TQ_E_ACCOUNT, "the text of the rows is malformed");
        status = tqi_output_write(&outputs->each[output], text.data, text.size, error);
    }
    return status;
}

tq_status tqi_outputs_commit(tqi_outputs *outputs, uint64_t *written, tq_error *error)
{
    tq_status status = TQ_OK;

    *written = 0;
    for (size_t i = 0; i < outputs->n && !status; i++) {
        *written += outputs->each[i].written;
        status = tqi_output_complete(&outputs->each[i], error);
    }
    for (size_t i = 0; i < outputs->n && !status; i++)
        status = tqi_output_commit(&outputs->each[i], error);
    tqi_outputs_discard(outputs);
    return status;
}

void tqi_outputs_discard(tqi_outputs *outputs)
{
    for (size_t i = 0; i < outputs->n; i++)
        tqi_output_discard(&outputs->each[i]);
    free(outputs->each);
    *outputs = (tqi_outputs){0};
}
