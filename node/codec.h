/* The compressed formats that inputs may have: knowing one by its first bytes, and decoding it with its library.
 *
 * gzip, bzip2, xz, Zstandard and LZ4 (frames). A compressed file is a row of members, each of which ends by itself; a
 * decoder is for one of them. The checksums that a format has are verified, all of them. Which formats there are depends on
 * the libraries that were there when this was compiled.
 *
 * A decoder is used by one thread at a time. No state is shared. */
#ifndef TQI_CODEC_H
#define TQI_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum tqi_codec {
    TQI_PLAIN, /* none of them */
    TQI_GZIP,
    TQI_BZIP2,
    TQI_XZ,
    TQI_ZSTD,
    TQI_LZ4,
    TQI_SKIPPABLE /* a frame of Zstandard or LZ4 that holds no data: its size is in bytes 4 to 7, from the lowest on */
} tqi_codec;

/* Of a member so many bytes are looked at, to know its format and the memory that it takes. */
enum { TQI_HEAD_BYTES = 64 };

/* What begins with these bytes; the size is less than TQI_HEAD_BYTES only if no more are there. The whole mark of a format
 * must be there, or, where the bytes end before it does, at least 4 bytes of it. */
tqi_codec tqi_codec_recognize(const char *bytes, size_t size);

const char *tqi_codec_name(tqi_codec codec);
bool tqi_codec_built(tqi_codec codec);

/* The memory that decoding the member which begins with head takes: a little more rather than less. A later block of xz may
 * take more: see TQI_DECODE_MEMORY. */
uint64_t tqi_codec_memory(tqi_codec codec, const char *head, size_t size);

typedef enum tqi_decoded {
    TQI_DECODE_MORE,   /* goes on: with more input, or more room */
    TQI_DECODE_END,    /* the member is over; what is left of the input is behind it */
    TQI_DECODE_MEMORY, /* takes more memory than was allowed: nothing is lost, allow it and go on */
    TQI_DECODE_DAMAGED /* see why */
} tqi_decoded;

/* What is decoded, from where to where. The decoder moves all four. */
typedef struct tqi_decoding {
    const char *in;
    size_t in_size;
    char *out;
    size_t out_size;
} tqi_decoding;

typedef struct tqi_decoder {
    tqi_codec codec;
    void *state;      /* the library's */
    uint64_t allowed; /* memory */
    uint64_t needed;  /* TQI_DECODE_MEMORY: so much in all */
    const char *why;  /* TQI_DECODE_DAMAGED: in the words of the library, or ours */
} tqi_decoder;

/* Begin a member. false: there is no memory. */
bool tqi_decoder_open(tqi_decoder *decoder, tqi_codec codec, uint64_t allowed);
void tqi_decoder_close(tqi_decoder *decoder);

/* Go on as far as input and room allow. */
tqi_decoded tqi_decoder_step(tqi_decoder *decoder, tqi_decoding *decoding);

/* Allow more, in all. */
void tqi_decoder_allow(tqi_decoder *decoder, uint64_t allowed);

#endif
