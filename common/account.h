/* The account of a run: what went into a stage and what came out of the one before must be the same.
 *
 * For sums everything is linear: combining two records changes neither the sum of the values nor the sum of hash(key)
 * x value, both modulo 2^64, so the stages can be compared from the mapper to the written row. So it is for TQ_STATS
 * with the count as the weight, and the digest of a summary (node/summary.h) as the value. For other jobs each record
 * weighs 1 and adds its hash(key, value): that holds from one table's way out to the next one's way in. An account
 * belongs to one thread; they are added up when the thread is done. */
#ifndef TQI_ACCOUNT_H
#define TQI_ACCOUNT_H

#include <tequio/types.h>

static inline void tqi_account_add(tq_account *into, const tq_account *other)
{
    into->records += other->records;
    into->weight += other->weight;
    into->check += other->check;
}

static inline void tqi_account_subtract(tq_account *from, const tq_account *other)
{
    from->records -= other->records;
    from->weight -= other->weight;
    from->check -= other->check;
}

/* Of a record that combines weight of them, with digests that add up when records are combined. */
static inline void tqi_account_linear(tq_account *account, uint64_t hash, uint64_t weight, uint64_t digest)
{
    account->records++;
    account->weight += weight;
    account->check += hash * digest;
}

static inline void tqi_account_sum(tq_account *account, uint64_t hash, uint64_t value)
{
    tqi_account_linear(account, hash, value, value);
}

static inline void tqi_account_record(tq_account *account, uint64_t hash, uint64_t value_hash)
{
    account->records++;
    account->weight++;
    /* Odd, so that a value whose hash is even does not lose the key's low bits. */
    account->check += hash * (value_hash | 1);
}

#endif
