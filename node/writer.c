#include "node/writer.h"

void tqi_writer_finish(tqi_writer *writer)
{
    tqi_run *page = writer->page;

    if (!page)
        return;
    page->bytes = (size_t)(writer->at - page->data);
    tqi_seal(writer->spec, page->data, writer->partition, (uint32_t)page->records,
             (uint32_t)(page->bytes - TQI_PAGE_HEADER));
    writer->page = NULL;
    writer->deliver(writer->owner, page);
}

void tqi_writer_discard(tqi_writer *writer)
{
    tqi_run_free(writer->spec, writer->page);
    writer->page = NULL;
}

/* A page with room for a record of size bytes, and for what copying a short key may change behind it. */
static tq_status open_page(tqi_writer *writer, uint64_t size)
{
    size_t needed = TQI_PAGE_HEADER + size + TQI_KEY_SLACK;

    tqi_writer_finish(writer);
    if (size > TQI_PAGE_PAYLOAD_MAX)
        return TQ_E_MEMORY;
    writer->page = tqi_run_new(writer->spec, needed, true);
    if (!writer->page)
        return TQ_E_MEMORY;
    writer->at = writer->page->data + TQI_PAGE_HEADER;
    return TQ_OK;
}

tq_status tqi_writer_put(tqi_writer *writer, const tqi_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t size = tqi_encoded_size(writer->shape, &entries[i]);
        tqi_run *page = writer->page;

        if (!page || size + TQI_KEY_SLACK > (size_t)(page->data + page->capacity - writer->at)) {
            tq_status status = open_page(writer, size);

            if (status)
                return status;
        }
        writer->at = tqi_encode(writer->shape, &entries[i], writer->at);
        writer->page->records++;
        tqi_account_entry(writer->spec, writer->shape, &entries[i], writer->account);
    }
    return TQ_OK;
}
