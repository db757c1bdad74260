#include "node/expander.h"

#include "common/error.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { BUFFER_BYTES = 128 << 10, SKIPPABLE_HEAD = 8 };

uint64_t tqi_expander_position(const tqi_expander *expander)
{
    return expander->read_bytes - (expander->size - expander->at);
}

/* About what stands at this place of the stream, or behind it: some libraries say no more. */
static tq_status fail(const tqi_expander *expander, const char *what, const char *why, tq_error *error)
{
    return tqi_fail_at(error, TQ_E_INPUT, expander->path, tqi_expander_position(expander),
                       "%s %s data%s%s (--decompress none reads the file as it is)", what,
                       tqi_codec_name(expander->codec), why ? ", here or behind: " : "", why ? why : "");
}

static tq_status ends_too_early(const tqi_expander *expander, tq_error *error)
{
    return fail(expander, "the file ends in the middle of", NULL, error);
}

/* Read on until at least least bytes are there, or the stream ends. */
static tq_status fetch(tqi_expander *expander, size_t least, tq_error *error)
{
    if (!expander->bytes) {
        expander->bytes = tqi_budget_force(expander->budget, BUFFER_BYTES);
        if (!expander->bytes)
            return tqi_fail_memory(error, BUFFER_BYTES, "reading a compressed input");
    }
    assert(least <= BUFFER_BYTES);
    while (!expander->over && expander->size - expander->at < least) {
        size_t got;

        if (expander->at > 0) {
            memmove(expander->bytes, expander->bytes + expander->at, expander->size - expander->at);
            expander->size -= expander->at;
            expander->at = 0;
        }
        tq_status status = expander->read(expander->owner, expander->bytes + expander->size,
                                          BUFFER_BYTES - expander->size, &got, error);
        if (status)
            return status;
        expander->size += got;
        expander->read_bytes += got;
        expander->over = got == 0;
    }
    return TQ_OK;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

/* Bytes more for the decoder. What no stream could ever have is an error, so that whether a run fails does not depend on
 * what else it does at the time. */
static tq_status take_memory(tqi_expander *expander, uint64_t bytes, tq_error *error)
{
    uint64_t all = expander->taken + bytes, limit = expander->decoders ? expander->decoders->limit : 0;

    if (limit && all > limit)
        return tqi_fail_at(error, TQ_E_MEMORY, expander->path, tqi_expander_position(expander),
                           "decoding this %s data takes %" PRIu64 " bytes, and %" PRIu64 " are for that (see --memory)",
                           tqi_codec_name(expander->codec), all, limit);
    if (!tqi_budget_take(expander->decoders, bytes)) {
        if (!expander->insist)
            return TQ_E_AGAIN;
        tqi_budget_take_anyway(expander->decoders, bytes);
    }
    tqi_budget_take_anyway(expander->budget, bytes);
    expander->taken = all;
    return TQ_OK;
}

static void end_member(tqi_expander *expander)
{
    tqi_decoder_close(&expander->decoder);
    tqi_budget_give(expander->decoders, expander->taken);
    tqi_budget_give(expander->budget, expander->taken);
    expander->taken = 0;
    expander->inside = false;
}

/* ---- Members ----------------------------------------------------------------------------------------------------- */

static tq_status pass_over(tqi_expander *expander, tq_error *error)
{
    while (expander->skip > 0) {
        tq_status status = fetch(expander, 1, error);
        size_t there = expander->size - expander->at, step = there < expander->skip ? there : (size_t)expander->skip;

        if (status)
            return status;
        if (step == 0)
            return ends_too_early(expander, error);
        expander->at += step;
        expander->skip -= step;
    }
    return TQ_OK;
}

static tq_status begin_skippable(tqi_expander *expander, tq_error *error)
{
    const unsigned char *head = (const unsigned char *)expander->bytes + expander->at;

    if (expander->size - expander->at < SKIPPABLE_HEAD)
        return ends_too_early(expander, error);
    expander->skip = SKIPPABLE_HEAD +
                     ((uint64_t)head[4] | (uint64_t)head[5] << 8 | (uint64_t)head[6] << 16 | (uint64_t)head[7] << 24);
    return TQ_OK;
}

static tq_status skip_padding(tqi_expander *expander, tq_error *error)
{
    tq_status status;

    do {
        while (expander->at < expander->size && expander->bytes[expander->at] == 0)
            expander->at++;
        status = fetch(expander, 1, error);
    } while (!status && expander->at < expander->size && expander->bytes[expander->at] == 0);
    return status;
}

static tq_status open_member(tqi_expander *expander, tq_error *error)
{
    uint64_t memory = tqi_codec_memory(expander->codec, expander->bytes + expander->at, expander->size - expander->at);
    tq_status status = take_memory(expander, memory, error);

    if (status)
        return status;
    if (!tqi_decoder_open(&expander->decoder, expander->codec, memory))
        return tqi_fail_memory(error, memory, "decoding an input");
    expander->inside = true;
    return TQ_OK;
}

/* Behind a member (or at the beginning of a compressed stream): begin the next one, or find the end. */
static tq_status begin_member(tqi_expander *expander, tq_error *error)
{
    tq_status status = pass_over(expander, error);

    if (!status)
        status = skip_padding(expander, error);
    if (!status)
        status = fetch(expander, TQI_HEAD_BYTES, error);
    if (status || expander->at == expander->size)
        return status;
    tqi_codec codec = tqi_codec_recognize(expander->bytes + expander->at, expander->size - expander->at);
    if (codec == TQI_PLAIN)
        return fail(expander, "this does not belong to the", NULL, error);
    expander->codec = codec;
    if (!tqi_codec_built(codec))
        return fail(expander, "this tequio was built without the library for", NULL, error);
    return codec == TQI_SKIPPABLE ? begin_skippable(expander, error) : open_member(expander, error);
}

static tq_status allow_more(tqi_expander *expander, tq_error *error)
{
    uint64_t needed = expander->decoder.needed;
    tq_status status = needed > expander->taken ? take_memory(expander, needed - expander->taken, error) : TQ_OK;

    if (!status)
        tqi_decoder_allow(&expander->decoder, needed);
    return status;
}

static tq_status decode(tqi_expander *expander, char *bytes, size_t room, size_t *got, tq_error *error)
{
    tqi_decoding now = {expander->bytes + expander->at, expander->size - expander->at, bytes, room};
    tqi_decoded decoded = tqi_decoder_step(&expander->decoder, &now);
    bool moved = now.in_size < expander->size - expander->at || now.out_size < room;

    expander->at = expander->size - now.in_size;
    *got = room - now.out_size;
    switch (decoded) {
    case TQI_DECODE_END: end_member(expander); return TQ_OK;
    case TQI_DECODE_DAMAGED: return fail(expander, "damaged", expander->decoder.why, error);
    case TQI_DECODE_MEMORY: return *got > 0 ? TQ_OK : allow_more(expander, error); /* first what came before */
    case TQI_DECODE_MORE: break;
    }
    if (!moved && expander->over && expander->at == expander->size)
        return ends_too_early(expander, error);
    return TQ_OK;
}

static tq_status look_what_it_is(tqi_expander *expander, tq_error *error)
{
    tq_status status = expander->as_it_is ? TQ_OK : fetch(expander, TQI_HEAD_BYTES, error);

    if (status)
        return status;
    if (!expander->as_it_is)
        expander->codec = tqi_codec_recognize(expander->bytes, expander->size);
    expander->begun = true;
    return TQ_OK;
}

static tq_status pass_through(tqi_expander *expander, char *bytes, size_t room, size_t *got, tq_error *error)
{
    size_t there = expander->size - expander->at;

    if (there == 0 && expander->over)
        return TQ_OK;
    if (there == 0) {
        tq_status status = expander->read(expander->owner, bytes, room, got, error);

        expander->read_bytes += status ? 0 : *got;
        return status;
    }
    *got = there < room ? there : room;
    memcpy(bytes, expander->bytes + expander->at, *got);
    expander->at += *got;
    return TQ_OK;
}

tq_status tqi_expander_read(void *owner, char *bytes, size_t room, size_t *got, tq_error *error)
{
    tqi_expander *expander = owner;
    tq_status status = expander->begun ? TQ_OK : look_what_it_is(expander, error);

    *got = 0;
    if (!status && expander->codec == TQI_PLAIN)
        return pass_through(expander, bytes, room, got, error);
    while (!status && *got == 0) {
        if (!expander->inside)
            status = begin_member(expander, error);
        if (status || (!expander->inside && expander->skip == 0))
            break; /* the end */
        if (expander->inside)
            status = fetch(expander, 1, error);
        if (!status && expander->inside)
            status = decode(expander, bytes, room, got, error);
    }
    return status;
}

void tqi_expander_free(tqi_expander *expander)
{
    end_member(expander);
    if (expander->bytes)
        tqi_budget_free(expander->budget, expander->bytes, BUFFER_BYTES);
    expander->bytes = NULL;
    expander->at = expander->size = 0;
}
