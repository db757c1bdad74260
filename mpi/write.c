/* The write phase: rows become text in tasks of every rank, and the text goes in the order of the parts to rank 0,
 * which writes it: its own first, then rank 1's, and so on. Text is made only a few parts ahead of what has been taken,
 * so it takes no more memory than that. A rank sends without being asked, in packets of a fixed size, so that many small
 * texts make one message; they wait until rank 0 gets to it, and no more than two are under way.
 *
 * Where the job's own function writes the rows in their order, what the tasks make and ranks send are rows as they are,
 * packed, and rank 0 calls the function on them when it writes.
 *
 * Rows that a rank keeps (TQ_OUTPUT_KEEP, TQ_OUTPUT_GATHER) are only counted. */
#include "mpi/job.h"

#include "common/account.h"
#include "common/error.h"
#include "common/fault.h"
#include "node/ordering.h"
#include <stdlib.h>
#include <string.h>

enum { TEXTS_MAX = 4 };

bool tqi_makes_text(const tqi_job *job)
{
    return job->description.output == TQ_OUTPUT_FILE || job->description.output == TQ_OUTPUT_FD;
}

/* The number of each part's first row, and of all rows; those behind the limit are not counted. before: the rows of the
 * ranks before this one. */
static uint64_t number_rows(tqi_job *job, uint64_t before)
{
    uint64_t rows = 0, limit = job->spec.limit ? job->spec.limit : UINT64_MAX;

    for (uint32_t p = 0; p < job->n_parts; p++) {
        uint64_t left = before + rows < limit ? limit - before - rows : 0, n = job->final->parts[p].records;

        job->first_row[p] = rows;
        rows += n < left ? n : left;
    }
    job->first_row[job->n_parts] = rows;
    return rows;
}

/* What this rank writes or keeps: its part of the result, ready to be read. */
static tq_status open_parts(tqi_job *job, tq_error *error)
{
    if (!job->final) {
        job->final = &job->results;
        job->final_spec = &job->spec;
        if (tqi_store_seal(&job->results, error))
            return error->status;
    }
    job->next_part = 0;
    job->n_parts = job->final_spec->own_partitions;
    job->first_row = calloc((size_t)job->n_parts + 1, sizeof *job->first_row);
    job->texts = calloc((size_t)job->n_parts + 1, sizeof *job->texts);
    job->parts = calloc((size_t)job->n_parts + 1, sizeof *job->parts);
    if (!job->first_row || !job->texts || !job->parts)
        return tqi_fail_memory(error, job->n_parts * sizeof *job->texts, "the rows");
    for (uint32_t p = 0; p < job->n_parts; p++)
        tqi_rows_init(&job->parts[p], &job->budget);
    return TQ_OK;
}

tq_status tqi_write_start(tqi_job *job, tq_error *error)
{
    uint64_t before, rows;

    job->writing = (tqi_writing){.receiving = MPI_REQUEST_NULL,
                                 .sends = {MPI_REQUEST_NULL, MPI_REQUEST_NULL},
                                 .unpacker = {.rest = {.budget = &job->budget}},
                                 .unpacked = {.budget = &job->budget}};
    open_parts(job, error);
    if (tqi_comm_agree(job->comm, error))
        return error->status;
    tq_status status = tqi_comm_sum_before(job->comm, job->final->records, &before, error);
    if (status)
        return status;
    rows = number_rows(job, before);
    job->counts.phase[TQ_PHASE_WRITE].total = job->total_rows = rows;
    status = tqi_comm_sum(job->comm, &job->total_rows, 1, error);
    if (job->comm->rank == 0)
        tqi_hub_set_total(job->hub, TQ_PHASE_WRITE, job->total_rows, 0);
    return status;
}

/* The rows of a part from its pages, in their order. */
static tq_status load(tqi_job *job, int worker, uint32_t part, tqi_rows *rows, tq_error *error)
{
    tqi_page_buffer buffer = {0};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < job->final->parts[part].n && !status; i++) {
        const uint8_t *page;

        status = tqi_store_page(job->final, part, i, &buffer, &page, error);
        if (status)
            break;
        bool stays = tqi_makes_text(job) && tqi_store_keeps_page(job->final, part, i);
        status = tqi_rows_append_page(rows, &job->spec.result_shape, page, stays);
        if (status == TQ_E_MEMORY)
            tqi_fail(error, status, "no memory for the rows of the result (see --memory)");
        else if (status)
            tqi_fail(error, status, "a page of rows is malformed");
    }
    tqi_page_buffer_free(&buffer);
    tqi_place *place = tqi_enter_order(job, worker);
    if (!status && tqi_spec_orders(&job->spec))
        tqi_ordering_sort(&job->spec, rows);
    tqi_leave_order(place);
    return status;
}

void tqi_count_rows(const tqi_job *job, const tqi_rows *rows, size_t from, size_t to, tq_account *account)
{
    for (size_t i = from; i < to; i++)
        tqi_account_entry(&job->spec, &job->spec.result_shape, &rows->entries[i], account);
}

/* The job's own function for rows, if it has one for its format. */
static tq_write_fn own_function(const tqi_job *job)
{
    return job->description.format == TQ_JSON ? job->description.write_json : job->description.write_text;
}

static bool writes_in_order(const tqi_job *job)
{
    return job->description.write_in_order && own_function(job);
}

/* Before calls of the job's own function; the caller leaves the place. */
static tqi_writer_fn enter_function(tqi_job *job, int worker)
{
    tqi_place *place = tqi_watch_place(&job->watch, worker);

    tqi_place_enter(place, TQI_STAGE_WRITE, job->comm->rank, worker);
    return (tqi_writer_fn){.write = own_function(job),
                           .user = job->spec.user,
                           .shape = &job->spec.result_shape,
                           .place = place,
                           .stop = &job->stop};
}

static tqi_format format_of(const tqi_job *job)
{
    const tq_job *asked = &job->description;

    return (tqi_format){asked->format, asked->raw_text, asked->row_text, asked->key_name, asked->value_name};
}

/* Append rows as text or, if they are written in order, packed. */
static void put_rows(tqi_work *work, int worker, const tqi_entry *entries, size_t n)
{
    tqi_job *job = work->job;
    const tq_job *asked = &job->description;
    const tqi_value_shape *shape = &job->spec.result_shape;
    tqi_format format = format_of(job);
    tq_status status;

    if (own_function(job) && !asked->write_in_order) {
        tqi_writer_fn fn = enter_function(job, worker);

        tqi_write_rows(&fn, entries, n, &work->text, &work->error);
        tqi_place_leave(fn.place);
        return;
    }
    if (own_function(job))
        status = tqi_pack_rows(shape, entries, n, &work->text);
    else
        status = tqi_format_rows(&format, shape, entries, n, &work->text);
    if (status)
        tqi_fail(&work->error, TQ_E_MEMORY, "no memory for the text of the rows (see --memory)");
}

/* A frame for each of several outputs that has rows among these. */
static void put_frames(tqi_work *work, int worker, const tqi_parting *parting)
{
    size_t begin = 0;

    for (size_t k = 0; k < parting->n_outputs && !work->error.status; begin = parting->ends[k++]) {
        size_t at = work->text.size, n = parting->ends[k] - begin;

        if (n == 0)
            continue;
        if (tqi_frame_begin(&work->text)) {
            tqi_fail(&work->error, TQ_E_MEMORY, "no memory for the text of the rows (see --memory)");
            return;
        }
        put_rows(work, worker, parting->entries + begin, n);
        tqi_frame_end(&work->text, at, k);
        work->bytes += sizeof(tqi_frame);
    }
}

void tqi_make_text(tqi_work *work, int worker, const tqi_rows *rows)
{
    tqi_job *job = work->job;

    if (!job->description.choose_output) {
        put_rows(work, worker, rows->entries, rows->n);
        return;
    }
    tqi_parting parting = {.choose = job->description.choose_output,
                           .user = job->spec.user,
                           .n_outputs = job->description.n_outputs,
                           .shape = &job->spec.result_shape,
                           .place = tqi_watch_place(&job->watch, worker),
                           .stop = &job->stop,
                           .budget = &job->budget};
    tqi_place_enter(parting.place, TQI_STAGE_WRITE, job->comm->rank, worker);
    tq_status status = tqi_parting_make(&parting, rows->entries, rows->n, &work->error);
    tqi_place_leave(parting.place);
    if (!status)
        put_frames(work, worker, &parting);
    tqi_parting_free(&parting);
}

/* Give back what rows take, so that there is memory to do without. Rows that are kept stay. */
static void forget_rows(tqi_job *job, tqi_rows *rows)
{
    if (!rows || !tqi_makes_text(job))
        return;
    tqi_rows_free(rows);
    tqi_rows_init(rows, &job->budget);
}

/* The same of a range whose rows are sorted where they lie. */
static void write_sorted(tqi_work *work, int worker, size_t kept)
{
    tqi_job *job = work->job;
    tqi_format format = format_of(job);
    bool too_large;
    tqi_sorting *sorting = tqi_direct_load(work, worker, kept, &too_large);
    bool copies = !tqi_makes_text(job) || own_function(job) || job->description.choose_output;
    tqi_rows *rows = NULL;
    tq_account unwritten = {0};

    if (too_large)
        tqi_write_externally(work, worker, kept);
    if (sorting && copies)
        rows = tqi_makes_text(job) ? tqi_scratch_rows(work, worker) : &job->parts[work->part];
    if (!sorting || (copies && !rows))
        return;
    work->account = work->loaded;
    if (sorting->n > 0 && tqi_fault("drop-row", job->comm->rank))
        tqi_sorting_limit(sorting, sorting->n - 1, &unwritten);
    tqi_account_subtract(&work->account, &work->dropped);
    tqi_account_subtract(&work->account, &unwritten);
    if (copies ? tqi_direct_keep(sorting, rows) : tqi_format_sorted(&format, sorting, &work->text))
        tqi_fail(&work->error, TQ_E_MEMORY, "no memory for the rows of the result (see --memory)");
    else if (copies && tqi_makes_text(job))
        tqi_make_text(work, worker, rows);
    if (work->error.status == TQ_E_MEMORY) {
        tqi_direct_unload(job, worker);
        forget_rows(job, rows);
        tqi_write_externally(work, worker, kept);
    }
    tqi_store_drop(job->final, work->part);
}

/* Load a part, give up what is behind the limit, and make its text, or keep it. */
static void write_rows(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    size_t kept = (size_t)(job->first_row[work->part + 1] - job->first_row[work->part]);
    tqi_rows *rows;

    if (atomic_load_explicit(&job->stop, memory_order_relaxed))
        return;
    if (work->rest) {
        tqi_write_more(work, worker);
        return;
    }
    if (tqi_is_direct(job)) {
        write_sorted(work, worker, kept);
        return;
    }
    rows = tqi_makes_text(job) ? tqi_scratch_rows(work, worker) : &job->parts[work->part];
    if (!rows)
        return;
    if (load(job, worker, work->part, rows, &work->error)) {
        forget_rows(job, rows);
        if (work->error.status == TQ_E_MEMORY)
            tqi_write_externally(work, worker, kept);
        return;
    }
    size_t all = kept;
    if (kept > rows->n)
        kept = rows->n;
    tqi_count_rows(job, rows, kept, rows->n, &work->dropped);
    if (kept > 0 && tqi_fault("drop-row", job->comm->rank))
        kept--;
    tqi_count_rows(job, rows, 0, kept, &work->account);
    work->loaded = work->account;
    tqi_account_add(&work->loaded, &work->dropped);
    rows->n = kept;
    if (tqi_makes_text(job))
        tqi_make_text(work, worker, rows);
    else
        tqi_rows_settle(rows);
    if (work->error.status == TQ_E_MEMORY) {
        forget_rows(job, rows);
        tqi_write_externally(work, worker, all);
    }
    tqi_store_drop(job->final, work->part);
}

/* Text that is written in order need not be kept until all of it is made. A flush of tqi_writer_fn. */
static tq_status flush_text(void *owner, tqi_text *text, tq_error *error)
{
    tqi_job *job = owner;
    tq_status status = tqi_outputs_write(&job->outputs, text->data, text->size, error);

    text->size = 0;
    return status;
}

/* Call the job's function on packed rows; what they become is the next that is written. */
static tq_status unpack(tqi_work *work, int worker, const tqi_text *packed)
{
    tqi_writing *writing = &work->job->writing;
    tqi_writer_fn fn = enter_function(work->job, worker);

    fn.flush = flush_text;
    fn.owner = work->job;
    writing->unpacked.size = 0;
    tq_status status = tqi_unpack_rows(&writing->unpacker, &fn, (tq_slice){packed->data, packed->size},
                                       &writing->unpacked, &work->error);
    tqi_place_leave(fn.place);
    return status;
}

static void write_text(tqi_work *work, int worker)
{
    tqi_writing *writing = &work->job->writing;

    for (int i = 0; i < writing->n_outputs && !work->error.status; i++) {
        const tqi_text *text = &writing->outputs[i];

        if (writes_in_order(work->job)) {
            if (unpack(work, worker, text))
                return;
            text = &writing->unpacked;
        }
        tqi_outputs_write(&work->job->outputs, text->data, text->size, &work->error);
    }
}

/* Behind the last row the job's function may have something left to say. */
static void write_end(tqi_work *work, int worker)
{
    tqi_writing *writing = &work->job->writing;
    tqi_writer_fn fn = enter_function(work->job, worker);

    fn.flush = flush_text;
    fn.owner = work->job;
    writing->unpacked.size = 0;
    tq_status status = tqi_write_end(&fn, &writing->unpacked, &work->error);
    tqi_place_leave(fn.place);
    if (!status)
        tqi_outputs_write(&work->job->outputs, writing->unpacked.data, writing->unpacked.size, &work->error);
}

/* Give back the memory of texts that are written, or keep it for the next. */
static void reuse_outputs(tqi_job *job)
{
    tqi_writing *writing = &job->writing;

    for (int i = 0; i < writing->n_outputs; i++)
        tqi_work_reuse_text(job, &writing->outputs[i]);
    writing->n_outputs = 0;
}

static void done(tqi_job *job, tqi_work *work)
{
    tqi_phase_count *write = &job->counts.phase[TQ_PHASE_WRITE];

    if (work->run == write_text || work->run == write_end) {
        reuse_outputs(job);
        job->writing.output_busy = false;
        return;
    }
    tqi_account_add(&job->ordered, &work->loaded);
    tqi_account_add(&job->written, &work->account);
    tqi_account_add(&job->dropped, &work->dropped);
    if (!work->rest)
        write->records += job->first_row[work->part + 1] - job->first_row[work->part];
    write->done = write->records;
    write->bytes += work->text.size - work->bytes;
    job->spilled += work->spilled;
    job->spilled_raw += work->spilled_raw;
    job->texts[work->part] = (tqi_part_text){work->text, true, work->rest};
    work->rest = NULL;
    work->text = (tqi_text){.budget = &job->budget};
}

/* Hand texts to the task that writes; rank 0. */
static void start_output(tqi_job *job)
{
    if (job->writing.n_outputs == 0)
        return;
    tqi_work *work = tqi_work_new(job, write_text);
    if (!work) {
        reuse_outputs(job);
        return;
    }
    job->writing.output_busy = true;
    tqi_work_start(work);
}

/* The next of this rank's texts, if it is made already. */
static bool next_text(tqi_job *job, tqi_text *text)
{
    tqi_writing *writing = &job->writing;

    if (writing->taken == job->n_parts || !job->texts[writing->taken].made)
        return false;
    tqi_part_text *next = &job->texts[writing->taken];
    *text = next->text;
    next->text = (tqi_text){0};
    next->made = !next->rest;
    writing->goes_on = next->rest != NULL;
    writing->taken += next->made;
    return true;
}

/* ---- Other ranks: sending ---- */

static void settle_sends(tqi_job *job, bool *moved)
{
    tqi_writing *writing = &job->writing;

    for (int i = 0; i < 2; i++) {
        int flag = 0;

        if (writing->sends[i] == MPI_REQUEST_NULL)
            continue;
        tq_error error;
        if (tqi_mpi_check(MPI_Test(&writing->sends[i], &flag, MPI_STATUS_IGNORE), "MPI_Test", &error))
            tqi_job_fail(job, &error);
        *moved |= flag != 0;
    }
}

static bool are_sent(const tqi_writing *writing)
{
    return writing->sends[0] == MPI_REQUEST_NULL && writing->sends[1] == MPI_REQUEST_NULL;
}

/* Texts, as they are made, into the packet at hand. Returns whether it may be sent: it is full, or the last. */
static bool fill_packet(tqi_job *job, tq_error *error)
{
    tqi_writing *writing = &job->writing;

    if (!writing->packets)
        writing->packets = tqi_budget_force(&job->budget, 2 * TQI_PACKET);
    if (!writing->packets) {
        tqi_fail_memory(error, 2 * TQI_PACKET, "the text of the rows");
        return false;
    }
    char *packet = writing->packets + writing->packet * TQI_PACKET;
    while (writing->packed < TQI_PACKET) {
        size_t left = writing->text.size - writing->copied, room = TQI_PACKET - writing->packed;
        size_t part = left < room ? left : room;

        if (part > 0)
            memcpy(packet + writing->packed, writing->text.data + writing->copied, part);
        writing->packed += part;
        writing->copied += part;
        if (writing->copied < writing->text.size)
            continue;
        tqi_work_reuse_text(job, &writing->text);
        writing->copied = 0;
        if (writing->taken == job->n_parts)
            return true;
        if (!next_text(job, &writing->text))
            return false;
    }
    return true;
}

/* Rank 0 knows the last packet by its size, so it may be empty. */
static void send_text(tqi_job *job, bool *moved)
{
    tqi_writing *writing = &job->writing;
    tq_error error;

    tqi_error_clear(&error);
    settle_sends(job, moved);
    while (writing->sends[writing->packet] == MPI_REQUEST_NULL && !writing->sent_end && !job->error.status &&
           fill_packet(job, &error)) {
        int code = MPI_Isend(writing->packets + writing->packet * TQI_PACKET, (int)writing->packed, MPI_BYTE, 0, TQI_TAG_TEXT,
                             job->comm->control, &writing->sends[writing->packet]);

        tqi_bells_ring(job->bells, 0);
        tqi_mpi_check(code, "MPI_Isend", &error);
        writing->sent_end = writing->packed < TQI_PACKET;
        writing->packet = !writing->packet;
        writing->packed = 0;
        *moved = true;
    }
    if (error.status)
        tqi_job_fail(job, &error);
}

/* ---- Rank 0: receiving and writing ---- */

/* Memory for a message of size bytes, TQI_PACKET at most: that of a text that was written, or what will do for any. */
static bool room_for(tqi_job *job, tqi_text *text, size_t size)
{
    *text = tqi_work_spare_text(job);
    if (text->capacity >= size)
        return true;
    tqi_text_free(text);
    *text = (tqi_text){.budget = &job->budget, .data = tqi_budget_force(&job->budget, TQI_PACKET)};
    text->capacity = text->data ? TQI_PACKET : 0;
    return text->data != NULL;
}

/* Start to receive the next message of the rank whose turn it is. */
static tq_status begin_receive(tqi_job *job, bool *moved, tq_error *error)
{
    tqi_writing *writing = &job->writing;
    MPI_Message message;
    MPI_Status probed;
    int there = 0, size = 0;
    int code = MPI_Improbe(writing->turn, TQI_TAG_TEXT, job->comm->control, &there, &message, &probed);

    if (code != MPI_SUCCESS || !there)
        return tqi_mpi_check(code, "MPI_Improbe", error);
    *moved = true;
    MPI_Get_count(&probed, MPI_BYTE, &size);
    if (!room_for(job, &writing->incoming, (size_t)size))
        return tqi_fail(error, TQ_E_MPI, "no memory to receive %d bytes of output", size);
    writing->incoming.size = (size_t)size;
    code = MPI_Imrecv(writing->incoming.data, size, MPI_BYTE, &message, &writing->receiving);
    writing->incoming_open = true;
    tqi_bells_ring(job->bells, writing->turn);
    return tqi_mpi_check(code, "MPI_Imrecv", error);
}

static tq_status receive_text(tqi_job *job, bool *moved, tq_error *error)
{
    tqi_writing *writing = &job->writing;
    int flag = 0;

    if (!writing->incoming_open)
        return begin_receive(job, moved, error);
    if (writing->receiving != MPI_REQUEST_NULL) {
        tq_status status = tqi_mpi_check(MPI_Test(&writing->receiving, &flag, MPI_STATUS_IGNORE), "MPI_Test", error);

        if (status || !flag)
            return status;
        tqi_bells_ring(job->bells, writing->turn); /* it waits for this text to be taken */
    }
    if (writing->output_busy)
        return TQ_OK;
    *moved = true;
    writing->incoming_open = false;
    writing->turn += writing->incoming.size < TQI_PACKET;
    if (writing->incoming.size > 0)
        writing->outputs[writing->n_outputs++] = writing->incoming;
    else
        tqi_work_reuse_text(job, &writing->incoming);
    writing->incoming = (tqi_text){0};
    start_output(job);
    return TQ_OK;
}

static bool has_all_texts(const tqi_job *job)
{
    const tqi_writing *writing = &job->writing;

    return writing->taken == job->n_parts && (job->comm->size == 1 || writing->turn == job->comm->size);
}

static void start_end(tqi_job *job)
{
    tqi_work *work = tqi_work_new(job, write_end);

    if (!work)
        return;
    job->writing.ended = job->writing.output_busy = true;
    tqi_work_start(work);
}

static void receive_texts(tqi_job *job, bool *moved)
{
    tqi_writing *writing = &job->writing;
    tq_error error;

    writing->turn = writing->turn ? writing->turn : 1;
    if (writing->turn < job->comm->size && receive_text(job, moved, &error))
        tqi_job_fail(job, &error);
}

static void write_out(tqi_job *job, bool *moved)
{
    tqi_writing *writing = &job->writing;
    tqi_text text;

    while (!writing->output_busy && writing->n_outputs < TQI_OUTPUTS && next_text(job, &text)) {
        *moved = true;
        writing->outputs[writing->n_outputs++] = text;
    }
    if (!writing->output_busy)
        start_output(job);
    if (writing->taken == job->n_parts && job->comm->size > 1)
        receive_texts(job, moved);
    if (has_all_texts(job) && !writing->output_busy && !writing->ended && writes_in_order(job)) {
        *moved = true;
        start_end(job);
    }
}

/* More text of the part whose turn it is. */
static bool make_more(tqi_job *job)
{
    tqi_writing *writing = &job->writing;

    if (!writing->goes_on || job->error.status)
        return false;
    tqi_work *work = tqi_work_new(job, write_rows);
    if (!work)
        return false;
    work->part = writing->taken;
    work->rest = job->texts[writing->taken].rest;
    job->texts[writing->taken].rest = NULL;
    writing->goes_on = false;
    tqi_work_start(work);
    return true;
}

/* Make texts, but only a few parts ahead of what has been taken. */
static bool make_texts(tqi_job *job)
{
    bool moved = make_more(job);
    uint32_t ahead = tqi_makes_text(job) ? (uint32_t)tqi_work_limit(job) + TEXTS_MAX : job->n_parts;

    while (job->next_part < job->writing.taken + ahead && tqi_start_part(job, write_rows)) {
        moved = true;
        if (tq_executor_workers(job->executor) == 0)
            break;
    }
    return moved;
}

bool tqi_write_step(tqi_job *job, tqi_vote *vote)
{
    tqi_writing *writing = &job->writing;
    bool moved = tqi_work_reap(job, done);

    moved |= make_texts(job);
    if (!tqi_makes_text(job)) {
        vote->busy = job->next_part < job->n_parts || job->works_used > 0;
        return moved;
    }
    if (job->comm->rank == 0)
        write_out(job, &moved);
    else
        send_text(job, &moved);
    if (job->comm->rank == 0)
        vote->busy = !has_all_texts(job) || job->works_used > 0 || (writes_in_order(job) && !writing->ended);
    else
        vote->busy = !writing->sent_end || !are_sent(writing);
    return moved;
}

void tqi_write_number_kept(tqi_job *job)
{
    uint64_t rows = 0;

    for (uint32_t p = 0; p < job->n_parts; p++) {
        job->first_row[p] = rows;
        rows += job->parts[p].n;
    }
    job->first_row[job->n_parts] = rows;
}

void tqi_write_abandon(tqi_job *job)
{
    tqi_writing *writing = &job->writing;
    tq_error ignored;

    /* Rank 0 takes whatever still comes when it takes leave, so that these end. */
    for (int i = 0; i < 2; i++)
        if (writing->sends[i] != MPI_REQUEST_NULL)
            tqi_comm_await(job->comm, &writing->sends[i], "MPI_Isend", &ignored);
    if (writing->receiving != MPI_REQUEST_NULL)
        tqi_comm_await(job->comm, &writing->receiving, "MPI_Imrecv", &ignored);
    tqi_text_free(&writing->incoming);
    tqi_text_free(&writing->text);
    tqi_budget_free(&job->budget, writing->packets, 2 * TQI_PACKET);
    writing->packets = NULL;
}
