#include "node/codec.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#if TEQUIO_HAVE_ZLIB
#include <zlib.h>
#endif
#if TEQUIO_HAVE_BZIP2
#include <bzlib.h>
#endif
#if TEQUIO_HAVE_LZMA
#include <lzma.h>
#endif
#if TEQUIO_HAVE_ZSTD
#include <zstd.h>
#endif
#if TEQUIO_HAVE_LZ4
#include <lz4frame.h>
#endif

/* ---- Marks ------------------------------------------------------------------------------------------------------- */

enum { LEAST_OF_A_MARK = 4, LONGEST_MARK = 10 };

/* The bits of bytes that masks select must be those of value. */
typedef struct mark {
    tqi_codec codec;
    size_t size;
    unsigned char value[LONGEST_MARK], masks[LONGEST_MARK];
} mark;

#define ALL 0xff
/* bzip2: "BZh", a level, and either a block's mark or that of the end: its first four bytes alone could well be text. */
static const mark marks[] = {
    {TQI_GZIP, 4, {0x1f, 0x8b, 8, 0}, {ALL, ALL, ALL, 0xe0}}, /* deflate, and no flag that nobody knows */
    {TQI_BZIP2,
     10,
     {'B', 'Z', 'h', 0x30, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59},
     {ALL, ALL, ALL, 0xf0, ALL, ALL, ALL, ALL, ALL, ALL}},
    {TQI_BZIP2,
     10,
     {'B', 'Z', 'h', 0x30, 0x17, 0x72, 0x45, 0x38, 0x50, 0x90},
     {ALL, ALL, ALL, 0xf0, ALL, ALL, ALL, ALL, ALL, ALL}},
    {TQI_XZ, 6, {0xfd, '7', 'z', 'X', 'Z', 0}, {ALL, ALL, ALL, ALL, ALL, ALL}},
    {TQI_ZSTD, 4, {0x28, 0xb5, 0x2f, 0xfd}, {ALL, ALL, ALL, ALL}},
    {TQI_LZ4, 4, {0x04, 0x22, 0x4d, 0x18}, {ALL, ALL, ALL, ALL}},
    {TQI_SKIPPABLE, 4, {0x50, 0x2a, 0x4d, 0x18}, {0xf0, ALL, ALL, ALL}},
};

tqi_codec tqi_codec_recognize(const char *bytes, size_t size)
{
    if (size < LEAST_OF_A_MARK)
        return TQI_PLAIN;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const mark *known = &marks[i];
        size_t there = size < known->size ? size : known->size, same = 0;

        while (same < there && ((unsigned char)bytes[same] & known->masks[same]) == known->value[same])
            same++;
        if (same == there)
            return known->codec;
    }
    return TQI_PLAIN;
}

const char *tqi_codec_name(tqi_codec codec)
{
    static const char *const names[] = {"plain", "gzip", "bzip2", "xz", "zstd", "lz4", "skippable"};

    return names[codec];
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

enum { KIB = 1024 };

/* The window that a frame header of Zstandard asks for (RFC 8878, 3.1.1.1). */
static uint64_t zstd_window(const unsigned char *head, size_t size)
{
    static const unsigned char id_sizes[] = {0, 1, 2, 4}, content_sizes[] = {1, 2, 4, 8};

    if (size < 6)
        return 0;
    if (!(head[4] & 0x20)) {
        uint64_t base = UINT64_C(1) << (10 + (head[5] >> 3));

        return base + base / 8 * (head[5] & 7);
    }
    size_t at = 5u + id_sizes[head[4] & 3], n = content_sizes[head[4] >> 6];
    uint64_t window = 0;
    for (size_t i = n; i > 0; i--)
        window = window << 8 | (at + i <= size ? head[at + i - 1] : 0);
    return n == 2 ? window + 256 : window;
}

/* The dictionary that the first block of an xz file asks for (.xz file format 1.1, 3.1 and 5.3.1): behind the stream's header
 * and the sizes, if they are there, stands a row of filters, LZMA2 the last of them. 0: there is none. */
static uint64_t xz_dictionary(const unsigned char *head, size_t size)
{
    enum { FLAGS = 13, COMPRESSED_SIZE = 0x40, SIZE = 0x80, LZMA2 = 0x21, LARGEST = 40 };
    size_t at = FLAGS + 1;

    if (size <= FLAGS)
        return 0;
    for (int sizes = !!(head[FLAGS] & COMPRESSED_SIZE) + !!(head[FLAGS] & SIZE); sizes > 0; sizes--) {
        while (at < size && head[at] & 0x80)
            at++;
        at++;
    }
    while (at + 2 < size && head[at] != LZMA2)
        at += 2u + head[at + 1];
    if (at + 2 >= size || head[at + 2] > LARGEST)
        return 0;
    return (uint64_t)(2 | (head[at + 2] & 1)) << (head[at + 2] / 2 + 11);
}

uint64_t tqi_codec_memory(tqi_codec codec, const char *head, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)head;

    switch (codec) {
    case TQI_GZIP: return 64 * KIB;
    case TQI_BZIP2: return size < 4 ? 0 : 128 * KIB + UINT64_C(400000) * (bytes[3] & 15);
    case TQI_XZ: return 512 * KIB + xz_dictionary(bytes, size);
    case TQI_ZSTD: {
        uint64_t window = zstd_window(bytes, size);

        return window > UINT64_MAX / 2 ? window : window + 768 * KIB;
    }
    case TQI_LZ4: return size < 6 ? 0 : 256 * KIB + (UINT64_C(2) << (8 + 2 * (bytes[5] >> 4 & 7)));
    case TQI_PLAIN:
    case TQI_SKIPPABLE: break;
    }
    return 0;
}

/* ---- gzip -------------------------------------------------------------------------------------------------------- */

#if TEQUIO_HAVE_ZLIB || TEQUIO_HAVE_BZIP2
/* They count in smaller integers than we do. */
static unsigned at_most_int(size_t size)
{
    return size > INT_MAX ? INT_MAX : (unsigned)size;
}
#endif

#if TEQUIO_HAVE_ZLIB || TEQUIO_HAVE_BZIP2 || TEQUIO_HAVE_LZMA || TEQUIO_HAVE_ZSTD || TEQUIO_HAVE_LZ4
static tqi_decoded damaged(tqi_decoder *decoder, const char *why)
{
    decoder->why = why;
    return TQI_DECODE_DAMAGED;
}
#endif

#if TEQUIO_HAVE_ZLIB
static bool open_gzip(tqi_decoder *decoder)
{
    z_stream *stream = decoder->state = calloc(1, sizeof *stream);

    return stream && inflateInit2(stream, MAX_WBITS + 16) == Z_OK; /* 16: with the header and checks of gzip */
}

static void close_gzip(tqi_decoder *decoder)
{
    inflateEnd(decoder->state);
    free(decoder->state);
}

static tqi_decoded step_gzip(tqi_decoder *decoder, tqi_decoding *decoding)
{
    z_stream *stream = decoder->state;
    unsigned in = at_most_int(decoding->in_size), out = at_most_int(decoding->out_size);

    stream->next_in = (z_const Bytef *)(uintptr_t)decoding->in;
    stream->next_out = (Bytef *)decoding->out;
    stream->avail_in = in;
    stream->avail_out = out;
    int code = inflate(stream, Z_NO_FLUSH);
    decoding->in += in - stream->avail_in, decoding->in_size -= in - stream->avail_in;
    decoding->out += out - stream->avail_out, decoding->out_size -= out - stream->avail_out;
    if (code == Z_STREAM_END)
        return TQI_DECODE_END;
    if (code == Z_OK || code == Z_BUF_ERROR)
        return TQI_DECODE_MORE;
    return damaged(decoder, stream->msg ? stream->msg : zError(code));
}
#endif

/* ---- bzip2 ------------------------------------------------------------------------------------------------------- */

#if TEQUIO_HAVE_BZIP2
static bool open_bzip2(tqi_decoder *decoder)
{
    bz_stream *stream = decoder->state = calloc(1, sizeof *stream);

    return stream && BZ2_bzDecompressInit(stream, 0, 0) == BZ_OK;
}

static void close_bzip2(tqi_decoder *decoder)
{
    BZ2_bzDecompressEnd(decoder->state);
    free(decoder->state);
}

static tqi_decoded step_bzip2(tqi_decoder *decoder, tqi_decoding *decoding)
{
    bz_stream *stream = decoder->state;
    unsigned in = at_most_int(decoding->in_size), out = at_most_int(decoding->out_size);

    stream->next_in = (char *)(uintptr_t)decoding->in;
    stream->next_out = decoding->out;
    stream->avail_in = in;
    stream->avail_out = out;
    int code = BZ2_bzDecompress(stream);
    decoding->in += in - stream->avail_in, decoding->in_size -= in - stream->avail_in;
    decoding->out += out - stream->avail_out, decoding->out_size -= out - stream->avail_out;
    if (code == BZ_STREAM_END)
        return TQI_DECODE_END;
    if (code == BZ_OK)
        return TQI_DECODE_MORE;
    return damaged(decoder, code == BZ_MEM_ERROR ? "no memory" : "a block or its checksum is wrong");
}
#endif

/* ---- xz ---------------------------------------------------------------------------------------------------------- */

#if TEQUIO_HAVE_LZMA
static bool open_xz(tqi_decoder *decoder)
{
    lzma_stream *stream = decoder->state = malloc(sizeof *stream);

    if (!stream)
        return false;
    *stream = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_stream_decoder(stream, decoder->allowed, LZMA_TELL_UNSUPPORTED_CHECK) == LZMA_OK;
}

static void close_xz(tqi_decoder *decoder)
{
    lzma_end(decoder->state);
    free(decoder->state);
}

static const char *why_xz(lzma_ret code)
{
    switch (code) {
    case LZMA_UNSUPPORTED_CHECK: return "a kind of checksum that liblzma does not know";
    case LZMA_OPTIONS_ERROR: return "an option that liblzma does not know";
    case LZMA_MEM_ERROR: return "no memory";
    default: return "the data or its checksum is wrong";
    }
}

static tqi_decoded step_xz(tqi_decoder *decoder, tqi_decoding *decoding)
{
    lzma_stream *stream = decoder->state;

    stream->next_in = (const uint8_t *)decoding->in;
    stream->next_out = (uint8_t *)decoding->out;
    stream->avail_in = decoding->in_size;
    stream->avail_out = decoding->out_size;
    lzma_ret code = lzma_code(stream, LZMA_RUN);
    decoding->in = (const char *)stream->next_in, decoding->in_size = stream->avail_in;
    decoding->out = (char *)stream->next_out, decoding->out_size = stream->avail_out;
    if (code == LZMA_STREAM_END)
        return TQI_DECODE_END;
    if (code == LZMA_OK || code == LZMA_BUF_ERROR)
        return TQI_DECODE_MORE;
    if (code == LZMA_MEMLIMIT_ERROR) {
        decoder->needed = lzma_memusage(stream);
        return TQI_DECODE_MEMORY;
    }
    return damaged(decoder, why_xz(code));
}
#endif

/* ---- Zstandard --------------------------------------------------------------------------------------------------- */

#if TEQUIO_HAVE_ZSTD
static bool open_zstd(tqi_decoder *decoder)
{
    ZSTD_DCtx *context = decoder->state = ZSTD_createDCtx();

    if (!context)
        return false;
    /* How large a window may be is for our budget to say. */
    ZSTD_bounds bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);
    return !ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, bounds.upperBound));
}

static void close_zstd(tqi_decoder *decoder)
{
    ZSTD_freeDCtx(decoder->state);
}

static tqi_decoded step_zstd(tqi_decoder *decoder, tqi_decoding *decoding)
{
    ZSTD_inBuffer in = {decoding->in, decoding->in_size, 0};
    ZSTD_outBuffer out = {decoding->out, decoding->out_size, 0};
    size_t left = ZSTD_decompressStream(decoder->state, &out, &in);

    decoding->in += in.pos, decoding->in_size -= in.pos;
    decoding->out += out.pos, decoding->out_size -= out.pos;
    if (ZSTD_isError(left))
        return damaged(decoder, ZSTD_getErrorName(left));
    return left == 0 ? TQI_DECODE_END : TQI_DECODE_MORE;
}
#endif

/* ---- LZ4 --------------------------------------------------------------------------------------------------------- */

#if TEQUIO_HAVE_LZ4
static bool open_lz4(tqi_decoder *decoder)
{
    LZ4F_dctx *context = NULL;
    bool opened = !LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION));

    decoder->state = context;
    return opened;
}

static void close_lz4(tqi_decoder *decoder)
{
    LZ4F_freeDecompressionContext(decoder->state);
}

static tqi_decoded step_lz4(tqi_decoder *decoder, tqi_decoding *decoding)
{
    size_t in = decoding->in_size, out = decoding->out_size;
    size_t left = LZ4F_decompress(decoder->state, decoding->out, &out, decoding->in, &in, NULL);

    if (LZ4F_isError(left))
        return damaged(decoder, LZ4F_getErrorName(left));
    decoding->in += in, decoding->in_size -= in;
    decoding->out += out, decoding->out_size -= out;
    return left == 0 ? TQI_DECODE_END : TQI_DECODE_MORE;
}
#endif

/* ---- All of them ------------------------------------------------------------------------------------------------- */

typedef struct library {
    bool (*open)(tqi_decoder *decoder);
    void (*close)(tqi_decoder *decoder); /* also of one that open left half open, if it has a state */
    tqi_decoded (*step)(tqi_decoder *decoder, tqi_decoding *decoding);
} library;

static const library libraries[] = {
#if TEQUIO_HAVE_ZLIB
    [TQI_GZIP] = {open_gzip, close_gzip, step_gzip},
#endif
#if TEQUIO_HAVE_BZIP2
    [TQI_BZIP2] = {open_bzip2, close_bzip2, step_bzip2},
#endif
#if TEQUIO_HAVE_LZMA
    [TQI_XZ] = {open_xz, close_xz, step_xz},
#endif
#if TEQUIO_HAVE_ZSTD
    [TQI_ZSTD] = {open_zstd, close_zstd, step_zstd},
#endif
#if TEQUIO_HAVE_LZ4
    [TQI_LZ4] = {open_lz4, close_lz4, step_lz4},
#endif
    [TQI_SKIPPABLE] = {NULL, NULL, NULL},
};

bool tqi_codec_built(tqi_codec codec)
{
    return codec == TQI_PLAIN || codec == TQI_SKIPPABLE || libraries[codec].step != NULL;
}

bool tqi_decoder_open(tqi_decoder *decoder, tqi_codec codec, uint64_t allowed)
{
    assert(libraries[codec].open);
    *decoder = (tqi_decoder){.codec = codec, .allowed = allowed};
    if (libraries[codec].open(decoder))
        return true;
    tqi_decoder_close(decoder);
    return false;
}

void tqi_decoder_close(tqi_decoder *decoder)
{
    if (decoder->state)
        libraries[decoder->codec].close(decoder);
    decoder->state = NULL;
}

tqi_decoded tqi_decoder_step(tqi_decoder *decoder, tqi_decoding *decoding)
{
    return libraries[decoder->codec].step(decoder, decoding);
}

void tqi_decoder_allow(tqi_decoder *decoder, uint64_t allowed)
{
    decoder->allowed = allowed;
#if TEQUIO_HAVE_LZMA
    if (decoder->codec == TQI_XZ)
        lzma_memlimit_set(decoder->state, allowed);
#endif
}
