/* A mapper and a reducer as a user of tequio from Python compiles them: cc -O2 -shared -fPIC native.c. */
#include <tequio/tequio.h>

int map_word(const tq_record *word, tq_emitter *emitter, void *user);
int map_text(const tq_record *text, tq_emitter *emitter, void *user);
int largest(tq_slice key, tq_values *values, tq_rows_out *out, void *user);

/* user: NULL, or a number that is emitted instead of 1. */
TQ_API int map_word(const tq_record *word, tq_emitter *emitter, void *user)
{
    return (int)tq_emit_i64(emitter, (tq_slice){word->data, word->size}, user ? *(int64_t *)user : 1);
}

TQ_API int map_text(const tq_record *text, tq_emitter *emitter, void *user)
{
    tq_slice left = {text->data, text->size}, words[256];
    tq_status status = TQ_OK;

    (void)user;
    for (size_t n; !status && (n = tq_next_words(&left, words, 256)) > 0;)
        status = tq_emit_keys_i64(emitter, words, n, 1);
    return (int)status;
}

TQ_API int largest(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t value = 0;

    (void)user;
    while (tq_values_next_i64(values, &value))
        ;
    return (int)tq_write_row_i64(out, key, value);
}
