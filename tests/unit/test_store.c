/* The store: pages by partition, in memory or in a spill file, with the same bytes either way. */
#include "node/store.h"

#include "node/rows.h"
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { PARTITIONS = 24, FIRST = 8, OWN = 5, MOST_PAGES = 2000 };

/* This rank has partitions FIRST .. FIRST + OWN - 1 of PARTITIONS. */
static tqi_spec spec_of_rank(tqi_budget *budget)
{
    tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_BYTES, 0, PARTITIONS, budget);

    spec.first_partition = FIRST;
    spec.own_partitions = OWN;
    return spec;
}

/* A run of n records with values of up to longest bytes, all of it for this rank and made here. */
static tqi_run *local_run_new(const tqi_spec *spec, size_t n, size_t longest, uint64_t *random)
{
    tqi_run_builder builder;
    tqi_rows rows;
    tqi_run *run = NULL;
    tq_account account = {0};
    uint32_t *partition_of = malloc(n * sizeof *partition_of);
    char key[40], *value = malloc(longest + 1);

    assert_true(partition_of && value);
    tqi_rows_init(&rows, NULL);
    memset(value, 'v', longest + 1);
    for (size_t i = 0; i < n; i++) {
        int size = sprintf(key, "key %zu %d", i, (int)random_below(random, 1000000000));
        tq_slice bytes = {value, longest - random_below(random, longest / 2 + 1)};
        partition_of[i] = FIRST + (uint32_t)random_below(random, OWN);
        assert_int_equal(tqi_rows_append(&rows, &spec->shape, (tq_slice){key, (size_t)size}, 0, bytes), TQ_OK);
    }
    assert_int_equal(tqi_run_builder_init(&builder, spec, &spec->shape, 0, PARTITIONS), TQ_OK);
    assert_int_equal(tqi_run_build(&builder, rows.entries, n, partition_of, &account, &run), TQ_OK);
    tqi_run_builder_free(&builder);
    tqi_rows_free(&rows);
    free(partition_of);
    free(value);
    return run;
}

/* The same, with checksums, as it comes from another rank. */
static tqi_run *run_new(const tqi_spec *spec, size_t n, size_t longest, uint64_t *random)
{
    tqi_run *run = local_run_new(spec, n, longest, random);

    for (uint8_t *at = run->data; at < run->data + run->bytes;) {
        tqi_page_header header = tqi_page_read_header(at);
        tqi_page_seal(at, header.partition, header.records, header.payload);
        at += TQI_PAGE_HEADER + header.payload;
    }
    return run;
}

/* The pages that should be there, in the order in which they came. */
typedef struct oracle {
    uint8_t *pages[MOST_PAGES];
    size_t sizes[MOST_PAGES], n;
    uint64_t bytes, records;
} oracle;

static void remember(oracle *all, const tqi_run *run)
{
    for (const uint8_t *at = run->data, *end = at + run->bytes; at < end;) {
        tqi_page_header header = tqi_page_read_header(at);
        size_t size = TQI_PAGE_HEADER + (size_t)header.payload;
        assert_true(all->n < MOST_PAGES);
        all->pages[all->n] = malloc(size);
        assert_non_null(all->pages[all->n]);
        memcpy(all->pages[all->n], at, size);
        all->sizes[all->n++] = size;
        all->bytes += size;
        all->records += header.records;
        at += size;
    }
}

static void forget(oracle *all)
{
    while (all->n > 0)
        free(all->pages[--all->n]);
    all->bytes = all->records = 0;
}

static void assert_stored(const oracle *all, const tqi_store *store)
{
    size_t next[OWN] = {0};
    tqi_page_buffer buffer = {0};
    uint64_t bytes = 0, records = 0;

    assert_int_equal(store->pages, all->n);
    assert_int_equal(store->bytes, all->bytes);
    assert_int_equal(store->records, all->records);
    for (size_t i = 0; i < all->n; i++) {
        uint32_t part = tqi_page_read_header(all->pages[i]).partition - FIRST;
        const uint8_t *page = NULL;
        tq_error error;
        assert_true(next[part] < store->parts[part].n);
        assert_int_equal(tqi_store_page(store, part, next[part]++, &buffer, &page, &error), TQ_OK);
        assert_memory_equal(page, all->pages[i], all->sizes[i]);
        volatile uint8_t readable = 0; /* for the sanitizer */
        for (size_t slack = 0; slack < TQI_KEY_SLACK; slack++)
            readable = page[all->sizes[i] + slack];
        (void)readable;
    }
    for (uint32_t part = 0; part < OWN; part++) {
        assert_int_equal(store->parts[part].n, next[part]);
        bytes += store->parts[part].bytes;
        records += store->parts[part].records;
    }
    assert_int_equal(bytes, all->bytes);
    assert_int_equal(records, all->records);
    tqi_page_buffer_free(&buffer);
}

static bool folder_is_empty(const char *folder)
{
    DIR *handle = opendir(folder);
    int names = 0;

    assert_non_null(handle);
    while (readdir(handle))
        names++;
    closedir(handle);
    return names == 2;
}

static void check_packed(tq_compression compression, uint64_t bound, int runs, size_t records, size_t longest)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store store;
    tq_error error;
    uint64_t random = 101;
    char *folder = folder_new();
    oracle *all = calloc(1, sizeof *all);

    assert_non_null(all);
    spec.spill_compression = compression;
    assert_int_equal(tqi_store_init(&store, &spec, bound, folder), TQ_OK);
    for (int i = 0; i < runs; i++) {
        tqi_run *run = run_new(&spec, 1 + random_below(&random, records), longest, &random);
        remember(all, run);
        if (i % 3 == 1) {
            assert_int_equal(tqi_store_copy_pages(&store, run->data, run->bytes, &error), TQ_OK);
            memset(run->data, 0xee, run->bytes);
            tqi_run_free(&spec, run);
        } else {
            assert_int_equal(tqi_store_take_run(&store, run, &error), TQ_OK);
        }
        assert_true(bound == 0 || store.held <= bound);
    }
    assert_true(folder_is_empty(folder)); /* the spill file has no name */
    assert_int_equal(tqi_store_seal(&store, &error), TQ_OK);
    assert_stored(all, &store);
    assert_true(bound == 0 ? store.spilled_raw == 0 : store.spilled_raw + store.held == all->bytes);
    assert_true(bound >= all->bytes || bound == 0 || store.spilled_raw > 0);
    if (compression == TQ_COMPRESSION_NONE)
        assert_true(store.spilled == store.spilled_raw);
    else /* half of a value and more is the same byte */
        assert_true(store.spilled <= store.spilled_raw * 3 / 4);
    tqi_store_free(&store);
    assert_int_equal(budget.used, 0);
    forget(all);
    free(all);
    folder_remove(folder);
}

static void check(uint64_t bound, int runs, size_t records, size_t longest)
{
    for (tq_compression compression = TQ_COMPRESSION_NONE; compression <= TQ_COMPRESSION_ZSTD; compression++)
        if (tqi_packing_built(compression))
            check_packed(compression, bound, runs, records, longest);
}

static void test_in_memory(void **state)
{
    (void)state;
    check(0, 40, 100, 100);
    check(0, 5, 50, 300000);
    check((uint64_t)1 << 40, 40, 100, 100);
}

static void test_spilled(void **state)
{
    (void)state;
    check(1, 40, 100, 100);        /* everything */
    check(20000, 10, 100, 100);    /* a part; all of it fits the staging */
    check(300000, 200, 200, 200);  /* the staging is flushed many times */
    check(1000000, 300, 200, 200); /* chunks are filled before the staging is */
    check(1, 6, 40, 400000);       /* pages larger than the staging */
    check(1000000, 12, 40, 50000); /* both */
    check(5000000, 30, 12, 300000);
}

/* Pages that are copied lie in blocks of the pool: small ones together, larger ones alone, so that their blocks can be used
 * again when their part is dropped; what is larger than a block has memory of its own. */
static void test_copies_in_blocks(void **state)
{
    static const size_t longest[] = {10, 100, 1000, 20000};
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    uint64_t random = 105;
    tq_error error;

    (void)state;
    for (size_t l = 0; l < sizeof longest / sizeof longest[0]; l++) {
        oracle *all = calloc(1, sizeof *all);
        tqi_pool pool;
        tqi_store store;

        assert_non_null(all);
        tqi_pool_init(&pool, &budget, 4 << 10, 512 << 10);
        spec.pool = &pool;
        assert_int_equal(tqi_store_init(&store, &spec, 0, "/nowhere"), TQ_OK);
        for (int i = 0; i < 40; i++) {
            tqi_run *run = run_new(&spec, 1 + random_below(&random, 60), longest[l], &random);
            remember(all, run);
            assert_int_equal(tqi_store_copy_pages(&store, run->data, run->bytes, &error), TQ_OK);
            memset(run->data, 0xee, run->bytes);
            tqi_run_free(&spec, run);
        }
        assert_stored(all, &store);
        assert_true(budget.used <= all->bytes * 2 + (512 << 10));
        uint64_t used = budget.used;
        for (uint32_t part = 0; part < OWN; part++)
            tqi_store_drop(&store, part);
        tqi_pool_trim(&pool);
        assert_true(longest[l] < 1000 || budget.used < used / 2);
        tqi_store_free(&store);
        tqi_pool_free(&pool);
        assert_int_equal(budget.used, 0);
        forget(all);
        free(all);
    }
}

static void test_empty(void **state)
{
    tqi_spec spec = spec_of_rank(NULL);
    tqi_store store;
    tq_error error;

    (void)state;
    assert_int_equal(tqi_store_init(&store, &spec, 100, "/nowhere"), TQ_OK);
    uint8_t nothing[1] = {0};
    assert_int_equal(tqi_store_copy_pages(&store, nothing, 0, &error), TQ_OK);
    assert_int_equal(tqi_store_seal(&store, &error), TQ_OK);
    assert_int_equal(store.pages, 0);
    for (uint32_t part = 0; part < OWN; part++)
        assert_int_equal(store.parts[part].n, 0);
    tqi_store_free(&store);
    spec.own_partitions = 0;
    assert_int_equal(tqi_store_init(&store, &spec, 100, "/nowhere"), TQ_OK);
    tqi_store_free(&store);
    tqi_store_free(&store);
}

static void test_missing_tmpdir(void **state)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store store;
    tq_error error;
    uint64_t random = 102;

    (void)state;
    for (int copy = 0; copy < 2; copy++) {
        tqi_run *run = run_new(&spec, 50, 100, &random);
        assert_int_equal(tqi_store_init(&store, &spec, 100, "/nowhere/at/all"), TQ_OK);
        if (copy) {
            assert_int_equal(tqi_store_copy_pages(&store, run->data, run->bytes, &error), TQ_E_TMPDIR);
            tqi_run_free(&spec, run);
        } else {
            assert_int_equal(tqi_store_take_run(&store, run, &error), TQ_E_TMPDIR);
        }
        assert_int_equal(error.status, TQ_E_TMPDIR);
        assert_string_equal(error.file, "/nowhere/at/all");
        assert_non_null(strstr(error.message, "No such file or directory"));
        tqi_store_free(&store);
        assert_int_equal(budget.used, 0);
    }
}

/* A file where the folder should be. */
static void test_tmpdir_is_a_file(void **state)
{
    char *folder = folder_new(), *path = path_in(folder, "file");
    tqi_spec spec = spec_of_rank(NULL);
    tqi_store store;
    tq_error error;
    uint64_t random = 103;

    (void)state;
    file_write(path, "x", 1);
    assert_int_equal(tqi_store_init(&store, &spec, 100, path), TQ_OK);
    assert_int_equal(tqi_store_take_run(&store, run_new(&spec, 50, 100, &random), &error), TQ_E_TMPDIR);
    assert_string_equal(error.file, path);
    tqi_store_free(&store);
    free(path);
    folder_remove(folder);
}

/* No room for the spill file: a limit on the size of files stands in for a full disk. */
static void test_full_tmpdir(void **state)
{
    char *folder = folder_new();
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store store;
    tq_error error = {0};
    uint64_t random = 104;
    struct rlimit held, small;
    tq_status status = TQ_OK;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &held), 0);
    small = held;
    small.rlim_cur = 2000000;
    assert_int_equal(tqi_store_init(&store, &spec, 100, folder), TQ_OK);
    for (int i = 0; i < 20 && !status; i++) {
        tqi_run *run = run_new(&spec, 50, 6000, &random);
        setrlimit(RLIMIT_FSIZE, &small);
        status = tqi_store_take_run(&store, run, &error);
        setrlimit(RLIMIT_FSIZE, &held);
    }
    assert_int_equal(status, TQ_E_TMPDIR);
    assert_int_equal(error.status, TQ_E_TMPDIR);
    assert_string_equal(error.file, folder);
    tqi_store_free(&store);
    assert_int_equal(budget.used, 0);
    folder_remove(folder);
}

/* No more is spilled than the job's bound, which its stores share and give back. */
static void test_spill_limit(void **state)
{
    char *folder = folder_new();
    tqi_budget budget = {0}, disk = {.limit = 3000000};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store stores[2];
    tq_error error = {0};
    uint64_t random = 105;
    tq_status status = TQ_OK;

    (void)state;
    spec.disk = &disk;
    for (int i = 0; i < 2; i++)
        assert_int_equal(tqi_store_init(&stores[i], &spec, 100, folder), TQ_OK);
    for (int i = 0; i < 40 && !status; i++)
        status = tqi_store_take_run(&stores[i % 2], run_new(&spec, 50, 6000, &random), &error);
    assert_int_equal(status, TQ_E_TMPDIR);
    assert_string_equal(error.file, folder);
    assert_non_null(strstr(error.message, "3000000"));
    assert_non_null(strstr(error.message, "--spill-limit"));
    assert_true(stores[0].spilled > 0 && stores[1].spilled > 0 && stores[0].spilled + stores[1].spilled <= 3000000);
    tqi_store_free(&stores[0]);
    tqi_store_free(&stores[1]);
    assert_int_equal(disk.used, 0);
    assert_int_equal(budget.used, 0);
    folder_remove(folder);
}

/* Pages that have arrived must be kept, and the spill file must be written, however little is left. */
static void test_beyond_the_budget(void **state)
{
    char *folder = folder_new();
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store store;
    tq_error error;
    uint64_t random = 105;

    (void)state;
    for (uint64_t bound = 0; bound < 2; bound++) { /* the copy, or the staging, is more than the budget has */
        tqi_run *run = run_new(&spec, 50, 100, &random);
        budget.limit = budget.used + 100000;
        assert_int_equal(tqi_store_init(&store, &spec, bound, folder), TQ_OK);
        assert_int_equal(tqi_store_copy_pages(&store, run->data, run->bytes, &error), TQ_OK);
        assert_int_equal(store.records, 50);
        tqi_store_free(&store);
        budget.limit = 0;
        tqi_run_free(&spec, run);
        assert_int_equal(budget.used, 0);
    }
    folder_remove(folder);
}

/* Pages that were made here have no checksum, until they are spilled. */
static void check_local(uint64_t bound, const char *folder, uint32_t mark)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store store;
    tqi_page_buffer buffer = {0};
    tq_error error;
    uint64_t random = 107;
    tqi_run *run = local_run_new(&spec, 500, 30, &random);

    assert_int_equal(tqi_store_init(&store, &spec, bound, folder), TQ_OK);
    assert_int_equal(tqi_store_take_run(&store, run, &error), TQ_OK);
    assert_int_equal(tqi_store_seal(&store, &error), TQ_OK);
    assert_true(store.pages > 0);
    for (uint32_t part = 0; part < OWN; part++) {
        for (size_t i = 0; i < store.parts[part].n; i++) {
            const uint8_t *page = NULL;
            assert_int_equal(tqi_store_page(&store, part, i, &buffer, &page, &error), TQ_OK);
            assert_int_equal(tqi_page_read_header(page).magic, mark);
        }
    }
    tqi_page_buffer_free(&buffer);
    tqi_store_free(&store);
    assert_int_equal(budget.used, 0);
}

static void test_local_pages(void **state)
{
    (void)state;
    char *folder = folder_new();
    check_local(0, folder, TQI_PAGE_LOCAL_MAGIC);
    check_local(1, folder, TQI_PAGE_MAGIC);
    folder_remove(folder);
}

/* Any byte of a page that changes between its sealing and its reading. */
static void check_broken(uint64_t bound, const char *folder, size_t at)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store store;
    tqi_page_buffer buffer = {0};
    const uint8_t *page = NULL;
    tq_error error;
    uint64_t random = 106;
    tqi_run *run = run_new(&spec, 1, 30, &random);
    uint32_t part = tqi_page_read_header(run->data).partition - FIRST;

    run->data[at] ^= 1;
    assert_int_equal(tqi_store_init(&store, &spec, bound, folder), TQ_OK);
    assert_int_equal(tqi_store_take_run(&store, run, &error), TQ_OK);
    assert_int_equal(tqi_store_seal(&store, &error), TQ_OK);
    assert_int_equal(tqi_store_page(&store, part, 0, &buffer, &page, &error), TQ_E_ACCOUNT);
    assert_int_equal(error.status, TQ_E_ACCOUNT);
    assert_null(page);
    tqi_page_buffer_free(&buffer);
    tqi_store_free(&store);
    assert_int_equal(budget.used, 0);
}

static void test_broken_page(void **state)
{
    char *folder = folder_new();

    (void)state;
    for (uint64_t bound = 0; bound < 2; bound++)
        for (size_t at = offsetof(tqi_page_header, checksum); at < TQI_PAGE_HEADER + 20; at++)
            check_broken(bound, folder, at);
    folder_remove(folder);
}

/* What cannot be pages of this rank is not taken at all. */
static void test_not_pages(void **state)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store store;
    tq_error error;
    uint64_t random = 107;
    tqi_run *run = run_new(&spec, 20, 50, &random);

    (void)state;
    for (size_t cut = 1; cut < 200; cut++) {
        assert_int_equal(tqi_store_init(&store, &spec, 0, "/nowhere"), TQ_OK);
        assert_int_equal(tqi_store_copy_pages(&store, run->data, run->bytes - cut, &error), TQ_E_ACCOUNT);
        assert_int_equal(error.status, TQ_E_ACCOUNT);
        tqi_store_free(&store);
    }
    static const uint32_t foreign[] = {0, FIRST - 1, FIRST + OWN, PARTITIONS, UINT32_MAX};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        uint8_t page[TQI_PAGE_HEADER + 3] = {0};
        tqi_page_seal(page, foreign[i], 1, 3);
        assert_int_equal(tqi_store_init(&store, &spec, 0, "/nowhere"), TQ_OK);
        assert_int_equal(tqi_store_copy_pages(&store, page, sizeof page, &error), TQ_E_ACCOUNT);
        tqi_store_free(&store);
    }
    run->data[0] ^= 1;
    assert_int_equal(tqi_store_init(&store, &spec, 0, "/nowhere"), TQ_OK);
    assert_int_equal(tqi_store_take_run(&store, run, &error), TQ_E_ACCOUNT);
    tqi_store_free(&store);
    assert_int_equal(budget.used, 0);
}

/* Pages that no library makes smaller are kept as they are: alone and large, or small ones in chunks. */
static void test_incompressible(void **state)
{
    static const uint32_t sizes[] = {1, 40, 3000, 60000, 300000};
    char *folder = folder_new();
    uint64_t random = 108;

    (void)state;
    for (tq_compression compression = TQ_COMPRESSION_LZ4; compression <= TQ_COMPRESSION_ZSTD; compression++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && tqi_packing_built(compression); i++) {
            tqi_budget budget = {0};
            tqi_spec spec = spec_of_rank(&budget);
            tqi_store store;
            tqi_page_buffer buffer = {0};
            size_t size = TQI_PAGE_HEADER + sizes[i];
            uint8_t *page = malloc(size);
            const uint8_t *back;
            tq_error error;

            assert_non_null(page);
            for (size_t at = 0; at < size; at++)
                page[at] = (uint8_t)random_next(&random);
            tqi_page_seal(page, FIRST, 1, sizes[i]);
            spec.spill_compression = compression;
            assert_int_equal(tqi_store_init(&store, &spec, 1, folder), TQ_OK);
            assert_int_equal(tqi_store_copy_pages(&store, page, size, &error), TQ_OK);
            assert_int_equal(tqi_store_seal(&store, &error), TQ_OK);
            assert_int_equal(store.spilled_raw, size);
            assert_true(store.spilled <= size && store.spilled + TQI_PAGE_HEADER >= size);
            assert_true(store.spilled == size || sizes[i] < 60000); /* a header may become smaller */
            assert_int_equal(tqi_store_page(&store, 0, 0, &buffer, &back, &error), TQ_OK);
            assert_memory_equal(back, page, size);
            tqi_page_buffer_free(&buffer);
            tqi_store_free(&store);
            assert_int_equal(budget.used, 0);
            free(page);
        }
    folder_remove(folder);
}

/* All pages of a store, until one cannot be read. */
static tq_status read_all(const tqi_store *store, tq_error *error)
{
    tqi_page_buffer buffer = {0};
    tq_status status = TQ_OK;

    for (uint32_t part = 0; part < OWN; part++)
        for (size_t i = 0; i < store->parts[part].n && !status; i++) {
            const uint8_t *page;
            status = tqi_store_page(store, part, i, &buffer, &page, error);
        }
    tqi_page_buffer_free(&buffer);
    return status;
}

/* Bits that change in the spill file, and a file that becomes shorter. A library may unpack a changed byte to the same
 * pages, if it was one that nothing depends on; that is no error. */
static void check_changed_file(tq_compression compression, const char *folder)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of_rank(&budget);
    tqi_store store;
    tq_error error;
    uint64_t random = 109;
    int noticed = 0, changes = 0;

    spec.spill_compression = compression;
    assert_int_equal(tqi_store_init(&store, &spec, 1, folder), TQ_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(tqi_store_take_run(&store, run_new(&spec, 50, 100, &random), &error), TQ_OK);
    assert_int_equal(tqi_store_seal(&store, &error), TQ_OK);
    assert_int_equal(read_all(&store, &error), TQ_OK);
    for (; changes < 200; changes++) {
        off_t at = (off_t)random_below(&random, store.spilled);
        uint8_t byte, changed;
        assert_int_equal(pread(store.spill, &byte, 1, at), 1);
        changed = byte ^ (uint8_t)(1U << random_below(&random, 8));
        assert_int_equal(pwrite(store.spill, &changed, 1, at), 1);
        tq_status status = read_all(&store, &error);
        assert_true(status == TQ_OK || status == TQ_E_ACCOUNT);
        noticed += status == TQ_E_ACCOUNT;
        assert_int_equal(pwrite(store.spill, &byte, 1, at), 1);
    }
    assert_true(noticed == changes || (compression != TQ_COMPRESSION_NONE && noticed > changes * 9 / 10));
    assert_int_equal(read_all(&store, &error), TQ_OK);
    assert_int_equal(ftruncate(store.spill, (off_t)store.spilled - 1), 0);
    assert_int_equal(read_all(&store, &error), TQ_E_TMPDIR);
    assert_string_equal(error.file, folder);
    tqi_store_free(&store);
    assert_int_equal(budget.used, 0);
}

static void test_changed_file(void **state)
{
    char *folder = folder_new();

    (void)state;
    for (tq_compression compression = TQ_COMPRESSION_NONE; compression <= TQ_COMPRESSION_ZSTD; compression++)
        if (tqi_packing_built(compression))
            check_changed_file(compression, folder);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_memory),
        cmocka_unit_test(test_spilled),
        cmocka_unit_test(test_copies_in_blocks),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_missing_tmpdir),
        cmocka_unit_test(test_tmpdir_is_a_file),
        cmocka_unit_test(test_full_tmpdir),
        cmocka_unit_test(test_spill_limit),
        cmocka_unit_test(test_beyond_the_budget),
        cmocka_unit_test(test_local_pages),
        cmocka_unit_test(test_broken_page),
        cmocka_unit_test(test_not_pages),
        cmocka_unit_test(test_incompressible),
        cmocka_unit_test(test_changed_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
