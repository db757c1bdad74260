#include "node/packing.h"

#if TEQUIO_HAVE_LZ4
#include <lz4.h>
#endif
#if TEQUIO_HAVE_ZSTD
#include <zstd.h>
#endif

bool tqi_packing_built(tq_compression compression)
{
    switch (compression) {
    case TQ_COMPRESSION_NONE: return true;
#if TEQUIO_HAVE_LZ4
    case TQ_COMPRESSION_LZ4: return true;
#endif
#if TEQUIO_HAVE_ZSTD
    case TQ_COMPRESSION_ZSTD: return true;
#endif
    default: return false;
    }
}

/* ---- LZ4: no context; the size of what it takes is an int ---- */

#if TEQUIO_HAVE_LZ4
static size_t pack_lz4(const uint8_t *bytes, size_t size, uint8_t *to)
{
    if (size > LZ4_MAX_INPUT_SIZE)
        return 0;
    return (size_t)LZ4_compress_default((const char *)bytes, (char *)to, (int)size, (int)size - 1);
}

static bool unpack_lz4(const uint8_t *bytes, size_t packed, uint8_t *to, size_t size)
{
    return size <= LZ4_MAX_INPUT_SIZE && packed < size &&
           LZ4_decompress_safe((const char *)bytes, (char *)to, (int)packed, (int)size) == (int)size;
}
#endif

/* ---- Zstandard. Level 1: what is spilled is read once, soon ---- */

#if TEQUIO_HAVE_ZSTD
enum { ZSTD_LEVEL = 1 };

static size_t pack_zstd(tqi_packer *packer, const uint8_t *bytes, size_t size, uint8_t *to)
{
    if (!packer->packing)
        packer->packing = ZSTD_createCCtx();
    if (!packer->packing)
        return 0;
    size_t packed = ZSTD_compressCCtx(packer->packing, to, size - 1, bytes, size, ZSTD_LEVEL);
    return ZSTD_isError(packed) ? 0 : packed; /* mostly that the room is too small */
}

static bool unpack_zstd(tqi_packer *packer, const uint8_t *bytes, size_t packed, uint8_t *to, size_t size)
{
    if (!packer->unpacking)
        packer->unpacking = ZSTD_createDCtx();
    return packer->unpacking && ZSTD_decompressDCtx(packer->unpacking, to, size, bytes, packed) == size;
}
#endif

/* ---- Either ---- */

void tqi_packer_free(tqi_packer *packer)
{
#if TEQUIO_HAVE_ZSTD
    ZSTD_freeCCtx(packer->packing);
    ZSTD_freeDCtx(packer->unpacking);
#endif
    *packer = (tqi_packer){0};
}

size_t tqi_pack(tqi_packer *packer, const uint8_t *bytes, size_t size, uint8_t *to)
{
    if (size < 2)
        return 0;
#if TEQUIO_HAVE_LZ4
    if (packer->compression == TQ_COMPRESSION_LZ4)
        return pack_lz4(bytes, size, to);
#endif
#if TEQUIO_HAVE_ZSTD
    if (packer->compression == TQ_COMPRESSION_ZSTD)
        return pack_zstd(packer, bytes, size, to);
#endif
    (void)packer, (void)bytes, (void)to;
    return 0;
}

bool tqi_unpack(tqi_packer *packer, const uint8_t *bytes, size_t packed, uint8_t *to, size_t size)
{
#if TEQUIO_HAVE_LZ4
    if (packer->compression == TQ_COMPRESSION_LZ4)
        return unpack_lz4(bytes, packed, to, size);
#endif
#if TEQUIO_HAVE_ZSTD
    if (packer->compression == TQ_COMPRESSION_ZSTD)
        return unpack_zstd(packer, bytes, packed, to, size);
#endif
    (void)packer, (void)bytes, (void)packed, (void)to, (void)size;
    return false;
}
