#include "node/run_writer.h"

#include "common/error.h"
#include <string.h>

enum { PAGE_BYTES = 16 << 10 };

static void close_stretch(tqi_run_writer *to)
{
    tqi_stretch_header header = {to->origin.offset, to->origin.file, 0};

    if (!to->stretch)
        return;
    header.bytes = (uint32_t)(to->at - to->stretch) - (uint32_t)sizeof header;
    memcpy(to->stretch, &header, sizeof header);
    to->stretch = NULL;
}

tq_status tqi_run_writer_hand_on(tqi_run_writer *to, tq_error *error)
{
    tqi_run *page = to->page;

    if (!page)
        return TQ_OK;
    close_stretch(to);
    page->bytes = (size_t)(to->at - page->data);
    page->records = to->records;
    tqi_seal(to->spec, page->data, to->run, to->records, (uint32_t)(page->bytes - TQI_PAGE_HEADER));
    *to = (tqi_run_writer){.spec = to->spec, .store = to->store, .run = to->run};
    return tqi_store_take_run(to->store, page, error);
}

uint8_t *tqi_run_writer_room(tqi_run_writer *to, const tqi_origin *origin, uint64_t size, tq_error *error)
{
    uint64_t needed = TQI_PAGE_HEADER + sizeof(tqi_stretch_header) + size + TQI_KEY_SLACK;
    bool goes_on = to->stretch && to->origin.file == origin->file && to->origin.offset == origin->offset;

    if (!goes_on)
        close_stretch(to);
    if (to->page && size + (goes_on ? 0 : sizeof(tqi_stretch_header)) > (uint64_t)(to->end - to->at)) {
        if (tqi_run_writer_hand_on(to, error))
            return NULL;
        goes_on = false;
    }
    if (!to->page) {
        size_t capacity = needed > PAGE_BYTES ? (size_t)needed : PAGE_BYTES;

        to->page = needed > TQI_PAGE_PAYLOAD_MAX ? NULL
                                                 : tqi_budget_force(to->spec->budget, sizeof *to->page + capacity);
        if (!to->page) {
            tqi_fail(error, TQ_E_MEMORY, TQI_NO_MEMORY_FOR_RUNS);
            return NULL;
        }
        *to->page = (tqi_run){.capacity = capacity};
        to->at = to->page->data + TQI_PAGE_HEADER;
        to->end = to->page->data + capacity - TQI_KEY_SLACK;
    }
    if (!goes_on) {
        to->stretch = to->at;
        to->origin = *origin;
        to->at += sizeof(tqi_stretch_header);
    }
    to->records++;
    return to->at;
}

tq_status tqi_run_writer_put(tqi_run_writer *to, const tqi_origin *origin, const tqi_entry *entry, tq_error *error)
{
    const tqi_value_shape *shape = &to->spec->result_shape;
    uint8_t *at = tqi_run_writer_room(to, origin, tqi_encoded_size(shape, entry), error);

    if (!at)
        return error->status;
    to->at = tqi_encode(shape, entry, at);
    return TQ_OK;
}
