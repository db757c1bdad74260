#include "node/parting.h"

#include "common/error.h"
#include <string.h>

enum { SHOWN_MOST = 40 };

/* ---- Rows by output ---- */

/* Which output each row belongs to, and how many each has. */
static tq_status choose(const tqi_parting *parting, const tqi_entry *entries, uint32_t *chosen, tq_error *error)
{
    for (size_t i = 0; i < parting->n; i++) {
        tq_row row = {tqi_entry_key(&entries[i]), tqi_entry_value(parting->shape, &entries[i]),
                      parting->shape->type == TQ_I64 ? (int64_t)entries[i].value : 0};

        if (atomic_load_explicit(parting->stop, memory_order_relaxed))
            return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        tqi_place_set_key(parting->place, row.key);
        size_t output = parting->choose(&row, parting->user);
        if (output >= parting->n_outputs)
            return tqi_fail(error, TQ_E_USER, "choose_output returned %zu, and there are %zu outputs (key '%.*s')",
                            output, parting->n_outputs, row.key.size < SHOWN_MOST ? (int)row.key.size : SHOWN_MOST,
                            row.key.data);
        chosen[i] = (uint32_t)output;
        parting->ends[output]++;
    }
    return TQ_OK;
}

/* A counting sort, which keeps the order of what it puts together. */
static void distribute(tqi_parting *parting, const tqi_entry *entries, const uint32_t *chosen)
{
    size_t before = 0;

    for (size_t k = 0; k < parting->n_outputs; k++) {
        size_t rows = parting->ends[k];

        parting->ends[k] = before; /* for now, where the next goes */
        before += rows;
    }
    for (size_t i = 0; i < parting->n; i++)
        parting->entries[parting->ends[chosen[i]]++] = entries[i];
}

static size_t bytes_of_entries(const tqi_parting *parting)
{
    return parting->n * sizeof *parting->entries;
}

tq_status tqi_parting_make(tqi_parting *parting, const tqi_entry *entries, size_t n, tq_error *error)
{
    size_t ends_bytes = parting->n_outputs * sizeof *parting->ends;

    parting->n = n;
    /* Taken anyway: no more than the rows that are there take. */
    parting->ends = tqi_budget_force(parting->budget, ends_bytes);
    parting->entries = tqi_budget_force(parting->budget, bytes_of_entries(parting));
    uint32_t *chosen = tqi_budget_force(parting->budget, n * sizeof *chosen);
    if (parting->ends)
        memset(parting->ends, 0, ends_bytes);
    if (!parting->ends || !parting->entries || !chosen)
        tqi_fail(error, TQ_E_MEMORY, "no memory for the rows of the result (see --memory)");
    else if (!choose(parting, entries, chosen, error))
        distribute(parting, entries, chosen);
    tqi_budget_free(parting->budget, chosen, n * sizeof *chosen);
    return error->status;
}

void tqi_parting_free(tqi_parting *parting)
{
    tqi_budget_free(parting->budget, parting->ends, parting->n_outputs * sizeof *parting->ends);
    tqi_budget_free(parting->budget, parting->entries, bytes_of_entries(parting));
    parting->ends = NULL;
    parting->entries = NULL;
}

/* ---- Frames ---- */

tq_status tqi_frame_begin(tqi_text *text)
{
    static const tqi_frame later = {0};

    return tqi_text_put(text, (tq_slice){(const char *)&later, sizeof later});
}

void tqi_frame_end(tqi_text *text, size_t at, size_t output)
{
    tqi_frame frame = {output, text->size - at - sizeof frame};

    memcpy(text->data + at, &frame, sizeof frame);
}

tq_slice tqi_frame_next(tqi_frame_reader *reader, tq_slice *piece, size_t *output)
{
    while (reader->head_bytes < sizeof reader->head && piece->size > 0) {
        reader->head[reader->head_bytes++] = *piece->data++;
        piece->size--;
        if (reader->head_bytes == sizeof reader->head)
            memcpy(&reader->frame, reader->head, sizeof reader->frame);
        if (reader->head_bytes == sizeof reader->head && reader->frame.bytes == 0)
            reader->head_bytes = 0; /* rows that are written as nothing */
    }
    tq_slice text = {piece->data, piece->size < reader->frame.bytes ? piece->size : (size_t)reader->frame.bytes};
    *output = (size_t)reader->frame.output;
    reader->frame.bytes -= text.size;
    piece->data += text.size;
    piece->size -= text.size;
    if (reader->frame.bytes == 0 && text.size > 0)
        reader->head_bytes = 0;
    return text;
}
