#include "node/block.h"

#include "node/emitter.h"
#include <string.h>

/* So many bytes of keys and values make the call worth its price, and do not leave the L2 cache. */
enum { GROUPS_BYTES = 256 << 10 };

/* ---- Reading ---- */

tqi_block_reader tqi_block_read(const tq_block *block, const tqi_value_shape *shape)
{
    return (tqi_block_reader){block, shape, 0, block->keys, block->values};
}

bool tqi_block_next(tqi_block_reader *reader, tq_slice *key, int64_t *number, tq_slice *value)
{
    const tq_block *block = reader->block;
    size_t i = reader->next, size;

    if (i == block->n)
        return false;
    *key = (tq_slice){reader->key, block->key_sizes[i]};
    reader->key += key->size;
    if (reader->shape->type == TQ_I64) {
        size = sizeof *number;
        memcpy(number, reader->value, size);
        *value = (tq_slice){NULL, 0};
    } else {
        size = reader->shape->type == TQ_BYTES ? block->value_sizes[i] : reader->shape->bytes;
        *number = 0;
        *value = (tq_slice){reader->value, size};
    }
    reader->value += size;
    reader->next++;
    return true;
}

tq_status tq_emit_block(tq_emitter *emitter, const tq_block *block)
{
    /* What TQ_STATS combines is emitted as numbers. */
    bool is_number = emitter->spec->shape.type == TQ_I64 || emitter->spec->combine == TQ_STATS;
    tqi_value_shape shape = is_number ? (tqi_value_shape){TQ_I64, 0} : emitter->spec->shape;
    tqi_block_reader reader = tqi_block_read(block, &shape);
    tq_slice key, value;
    tq_status status = TQ_OK;
    int64_t number;

    while (!status && tqi_block_next(&reader, &key, &number, &value))
        status = is_number ? tq_emit_i64(emitter, key, number) : tq_emit(emitter, key, value);
    return status;
}

/* ---- Groups ---- */

void tqi_groups_clear(tqi_groups *packed)
{
    packed->groups = (tq_groups){0};
    packed->key_bytes = packed->value_bytes = 0;
}

void tqi_groups_free(tqi_groups *packed)
{
    if (packed->memory)
        tqi_budget_free(packed->budget, packed->memory, packed->capacity);
    packed->memory = NULL;
    packed->capacity = 0;
}

bool tqi_groups_has_room(const tqi_groups *packed)
{
    return packed->key_bytes + packed->value_bytes + 16 * packed->groups.n_values < GROUPS_BYTES;
}

void tqi_groups_count(tqi_groups *packed, const tqi_entry *group, size_t n)
{
    packed->groups.n++;
    packed->groups.n_values += n;
    packed->key_bytes += group->size;
    if (packed->shape->type != TQ_BYTES) {
        packed->value_bytes += n * (packed->shape->type == TQ_I64 ? sizeof(int64_t) : packed->shape->bytes);
        return;
    }
    for (size_t i = 0; i < n; i++)
        packed->value_bytes += tqi_entry_value(packed->shape, &group[i]).size;
}

/* Room for bytes. What was there before is not kept. */
static tq_status reserve(tqi_groups *packed, size_t bytes)
{
    if (bytes <= packed->capacity)
        return TQ_OK;
    tqi_groups_free(packed);
    packed->memory = tqi_budget_alloc(packed->budget, bytes);
    if (!packed->memory)
        return TQ_E_MEMORY;
    packed->capacity = bytes;
    return TQ_OK;
}

tq_status tqi_groups_fill(tqi_groups *packed, const tqi_entry *entries, size_t n,
                          bool (*same)(const tqi_entry *a, const tqi_entry *b))
{
    tq_groups *groups = &packed->groups;
    bool any_size = packed->shape->type == TQ_BYTES;
    size_t counts_bytes = groups->n * sizeof(uint64_t), values_bytes = (packed->value_bytes + 7) & ~(size_t)7;
    size_t sizes = groups->n + (any_size ? groups->n_values : 0);

    if (reserve(packed, counts_bytes + values_bytes + sizes * sizeof(uint32_t) + packed->key_bytes))
        return TQ_E_MEMORY;
    /* In the order of their alignment: numbers of eight bytes, values, which may be such, numbers of four, keys. */
    uint64_t *counts = (uint64_t *)(void *)packed->memory;
    char *value_at = packed->memory + counts_bytes;
    uint32_t *key_sizes = (uint32_t *)(void *)(value_at + values_bytes);
    uint32_t *value_sizes = any_size ? key_sizes + groups->n : NULL;
    char *key_at = (char *)(key_sizes + sizes);
    groups->counts = counts;
    groups->values = value_at;
    groups->key_sizes = key_sizes;
    groups->value_sizes = value_sizes;
    groups->keys = key_at;
    for (size_t i = 0, group = 0; i < n; i++) {
        tq_slice value = tqi_entry_value(packed->shape, &entries[i]);

        if (i == 0 || !same(&entries[i - 1], &entries[i])) {
            tq_slice key = tqi_entry_key(&entries[i]);

            key_at = mempcpy(key_at, key.data, key.size);
            key_sizes[group] = (uint32_t)key.size;
            counts[group++] = 0;
        }
        counts[group - 1]++;
        value_at = mempcpy(value_at, value.data, value.size);
        if (any_size)
            value_sizes[i] = (uint32_t)value.size;
    }
    return TQ_OK;
}
