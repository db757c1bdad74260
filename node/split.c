#include "node/split.h"

#include "common/error.h"
#include "common/fault.h"
#include "node/compact.h"
#include "node/mapping.h"

enum { PAGE = 4096 };

/* ---- Pulling ---- */

static void note_progress(const tq_split *split)
{
    uint64_t done = split->next - split->begin;

    if (split->progress && done > atomic_load_explicit(split->progress, memory_order_relaxed))
        atomic_store_explicit(split->progress, done, memory_order_relaxed);
}

/* The next piece that holds a record; size 0: there is none. Pieces begin at offsets that are aligned like the split's. */
static tq_status read_next(tq_split *split, tq_record *piece)
{
    tq_emitter *emitter = split->emitter;

    *piece = (tq_record){.data = "", .file = split->chunk.file, .offset = split->end};
    while (piece->size == 0 && split->next < split->end) {
        uint64_t begin = split->next, left = split->end - begin;
        uint64_t step = split->most - begin % PAGE;

        split->next = left > step && split->file ? begin + step : split->end;
        if (!split->file)
            *piece = split->chunk;
        else if (tqi_reader_chunk(split->reader, split->file, emitter->spec->records, begin, split->next, piece,
                                  &emitter->error))
            return emitter->status = emitter->error.status;
    }
    piece->file_number = split->chunk.file_number;
    piece->files = split->chunk.files;
    note_progress(split);
    return TQ_OK;
}

tq_status tq_split_next(tq_split *split, tq_record *piece)
{
    tq_emitter *emitter = split->emitter;
    tq_status status = tqi_emitter_end(emitter); /* keys in the old piece are needed no longer */

    if (!status && tqi_emitter_stopped(emitter))
        status = tqi_emitter_fail(emitter, TQ_E_CANCELLED, "cancelled");
    if (!status && split->is_first)
        *piece = split->first;
    else if (!status)
        status = read_next(split, piece);
    if (status)
        return status;
    split->is_first = false;
    tqi_emitter_begin(emitter, piece);
    tqi_place_set_offset(split->place, piece->offset);
    return TQ_OK;
}

void tq_split_rewind(tq_split *split)
{
    split->next = split->begin;
    split->is_first = false;
}

tq_split_place tq_split_where(const tq_split *split)
{
    return (tq_split_place){split->chunk.file, split->begin, split->end, split->chunk.file_number};
}

/* ---- Mapping ---- */

static tq_status call(tq_split *split)
{
    tq_emitter *emitter = split->emitter;
    const tqi_spec *spec = emitter->spec;
    int code = tqi_fault("fail-map", spec->rank) ? 42 : spec->map_split(split, emitter, spec->user);
    bool read_failed = emitter->error.file[0] != '\0';

    tqi_emitter_end(emitter);
    tq_emitter_give_back(emitter, emitter->reserved);
    if ((code || emitter->status) && !read_failed)
        return tqi_map_blame(emitter, &split->first, code);
    emitter->reason[0] = '\0'; /* said, and thought better of */
    return emitter->status;
}

tq_status tqi_map_split(tq_split *split)
{
    tq_emitter *emitter = split->emitter;
    tq_status status = emitter->status;

    split->next = split->begin;
    if (!status)
        status = read_next(split, &split->first);
    if (status || split->first.size == 0)
        return status;
    split->is_first = true;
    tqi_place_set_file(split->place, split->first.file);
    tqi_place_set_offset(split->place, split->first.offset);
    status = call(split);
    tqi_place_set_file(split->place, NULL);
    return status;
}
