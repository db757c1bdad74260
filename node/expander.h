/* Reading a stream that may be compressed: a source of bytes (node/chunker.h) on top of another.
 *
 * What the stream is, its first bytes say (node/codec.h). If nothing known, it passes through as it is. Otherwise its members
 * are decoded one after the other up to the end of the stream, each by its own format; zeros between and behind them are
 * padding. Everything else behind a member, an end in the middle of one, and what does not decode or has a wrong checksum is
 * an error, with the place in the compressed stream: nothing is passed over in silence.
 *
 * A decoder's memory, tens of MiB for some, comes out of a budget of its own, which the streams of a rank share. A stream that
 * must wait for another's memory says so (TQ_E_AGAIN) and is asked again later.
 *
 * One thread at a time. */
#ifndef TQI_EXPANDER_H
#define TQI_EXPANDER_H

#include "node/chunker.h"
#include "node/codec.h"

typedef struct tqi_expander {
    /* Set by the caller, the rest zero. */
    const char *path; /* for messages */
    tqi_source_fn read;
    void *owner;
    tqi_budget *budget;   /* all that is counted here, */
    tqi_budget *decoders; /* and of it what decoders have */
    bool as_it_is;        /* do not look what it is */
    bool insist;          /* take the memory for a decoder even if others have it */

    tqi_codec codec; /* of the newest member; TQI_PLAIN */
    bool begun, inside;
    tqi_decoder decoder;
    uint64_t taken;  /* memory for it */
    uint64_t skip;   /* so much of what comes next is no data */
    char *bytes;     /* of the stream, not yet decoded: */
    size_t at, size; /* [at, size) of them */
    bool over;       /* behind them the stream ends */
    uint64_t read_bytes;
} tqi_expander;

/* A tqi_source_fn; owner is a tqi_expander. TQ_E_INPUT, TQ_E_MEMORY, and what the source below says. */
tq_status tqi_expander_read(void *owner, char *bytes, size_t room, size_t *got, tq_error *error);

/* How much of the stream below was decoded, or passed through. */
uint64_t tqi_expander_position(const tqi_expander *expander);

void tqi_expander_free(tqi_expander *expander);

#endif
