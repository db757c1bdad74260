#include "node/inputs.h"

#include "common/error.h"
#include "node/codec.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { USUAL_EXPANSION = 4 }; /* of text that is decoded */
enum { PAGE = 4096, SPLITS_PER_WORKER = 128, FEW_SPLITS_PER_WORKER = 8 };
static const uint64_t SMALLEST_SPLIT = 64 << 10, SMALL_SPLIT = 256 << 10, LARGEST_SPLIT = 8 << 20;
/* To find a split's first record, and to open a file, takes as long as to map so many bytes. */
static const uint64_t BYTES_LIKE_A_SPLIT = 16 << 10;

static int64_t modified_ns(const struct stat *info)
{
    return (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

static tq_status add_file(tqi_inputs *inputs, const char *path, const struct stat *info, tq_error *error)
{
    bool stream = !info || !S_ISREG(info->st_mode);

    if (inputs->n == inputs->capacity) {
        size_t capacity = inputs->capacity ? 2 * inputs->capacity : 16;
        tqi_file *files = realloc(inputs->files, capacity * sizeof *files);

        if (!files)
            return tqi_fail_memory(error, capacity * sizeof *files, "the list of files");
        inputs->files = files;
        inputs->capacity = capacity;
    }
    tqi_file file = {.path = strdup(path), .stream = stream};
    if (!file.path)
        return tqi_fail_memory(error, strlen(path), "the list of files");
    if (!stream) {
        file.size = (uint64_t)info->st_size;
        file.modified_ns = modified_ns(info);
    }
    inputs->files[inputs->n++] = file;
    inputs->bytes += file.size;
    inputs->streams |= stream;
    return TQ_OK;
}

static tq_status walk(tqi_inputs *inputs, const char *folder, tq_error *error);

/* One name inside a folder: files are taken, folders walked, and everything else is passed over. */
static tq_status visit(tqi_inputs *inputs, const char *path, tq_error *error)
{
    struct stat info;

    if (lstat(path, &info) != 0)
        return tqi_fail_file(error, TQ_E_INPUT, path, "%s", strerror(errno));
    if (S_ISDIR(info.st_mode))
        return walk(inputs, path, error);
    if (!S_ISREG(info.st_mode))
        return TQ_OK;
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
        return tqi_fail_file(error, TQ_E_INPUT, path, "%s", strerror(errno));
    return add_file(inputs, path, &info, error);
}

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* By bytes, whatever the locale: the order of files must be the same everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static tq_status walk(tqi_inputs *inputs, const char *folder, tq_error *error)
{
    struct dirent **names;
    tq_status status = TQ_OK;
    int n = scandir(folder, &names, no_dots, by_name);

    if (n < 0)
        return tqi_fail_file(error, TQ_E_INPUT, folder, "cannot list the folder: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";

        if (!status && asprintf(&path, "%s%s%s", folder, slash, names[i]->d_name) < 0) {
            path = NULL;
            status = tqi_fail_memory(error, strlen(folder), "a path");
        }
        if (!status)
            status = visit(inputs, path, error);
        free(path);
        free(names[i]);
    }
    free(names);
    return status;
}

static tq_status take_path(tqi_inputs *inputs, const char *path, bool recursive, bool expand, tq_error *error);

static tq_status take_pattern(tqi_inputs *inputs, const char *pattern, bool recursive, tq_error *error)
{
    glob_t found;
    tq_status status = TQ_OK;
    int code = glob(pattern, 0, NULL, &found);

    if (code == GLOB_NOMATCH)
        return tqi_fail_file(error, TQ_E_INPUT, pattern, "no file fits this pattern");
    if (code != 0)
        return tqi_fail_file(error, TQ_E_INPUT, pattern, "cannot expand this pattern");
    for (size_t i = 0; i < found.gl_pathc && !status; i++)
        status = take_path(inputs, found.gl_pathv[i], recursive, false, error);
    globfree(&found);
    return status;
}

/* expand: the path may be a pattern, rather than what a pattern found. */
static tq_status take_path(tqi_inputs *inputs, const char *path, bool recursive, bool expand, tq_error *error)
{
    struct stat info;

    if (strcmp(path, "-") == 0) {
        if (expand)
            return add_file(inputs, path, NULL, error);
        path = "./-"; /* a pattern found a file of that name */
    }
    if (stat(path, &info) != 0) {
        if (expand && errno == ENOENT && strpbrk(path, "*?["))
            return take_pattern(inputs, path, recursive, error);
        return tqi_fail_file(error, TQ_E_INPUT, path, "%s", path[0] ? strerror(errno) : "an empty name");
    }
    if (S_ISDIR(info.st_mode)) {
        if (!recursive)
            return tqi_fail_file(error, TQ_E_INPUT, path, "is a folder (-r walks folders)");
        return walk(inputs, path, error);
    }
    if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode) && !S_ISCHR(info.st_mode))
        return tqi_fail_file(error, TQ_E_INPUT, path, "is neither a file nor a pipe");
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
        return tqi_fail_file(error, TQ_E_INPUT, path, "%s", strerror(errno));
    return add_file(inputs, path, &info, error);
}

tq_status tqi_inputs_expand(tqi_inputs *inputs, const char *const *paths, size_t n, bool recursive, tq_error *error)
{
    tqi_inputs made = {0};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < n && !status; i++)
        status = take_path(&made, paths[i], recursive, true, error);
    if (status)
        tqi_inputs_free(&made);
    else
        *inputs = made;
    return status;
}

tq_status tqi_inputs_feed(tqi_inputs *inputs, tqi_feed_fn feed, void *user, tq_error *error)
{
    *inputs = (tqi_inputs){.feed = feed, .feed_user = user};
    return add_file(inputs, "feed", NULL, error);
}

void tqi_inputs_free(tqi_inputs *inputs)
{
    for (size_t i = 0; i < inputs->n; i++)
        free(inputs->files[i].path);
    free(inputs->files);
    free(inputs->heading.line);
    *inputs = (tqi_inputs){0};
}

static uint64_t chosen_split(uint64_t bytes, uint64_t workers)
{
    uint64_t each = bytes / (workers ? workers : 1), split = each / SPLITS_PER_WORKER;

    if (split < SMALL_SPLIT)
        split = each / FEW_SPLITS_PER_WORKER < SMALL_SPLIT ? each / FEW_SPLITS_PER_WORKER : SMALL_SPLIT;
    if (split < SMALLEST_SPLIT)
        split = SMALLEST_SPLIT;
    if (split > LARGEST_SPLIT)
        split = LARGEST_SPLIT;
    return split & ~(uint64_t)(PAGE - 1);
}

uint64_t tqi_inputs_splits_of(const tqi_inputs *inputs, const tqi_file *file)
{
    /* Not (size + split - 1) / split, which overflows for the largest split sizes. */
    return file->size / inputs->split_bytes + (file->size % inputs->split_bytes != 0);
}

void tqi_inputs_split(tqi_inputs *inputs, uint64_t split_bytes, uint64_t workers)
{
    inputs->split_bytes = split_bytes ? split_bytes : chosen_split(inputs->bytes, workers);
    inputs->splits = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < inputs->n; i++) {
        tqi_file *file = &inputs->files[i];

        file->first_split = inputs->splits;
        file->first_byte = bytes;
        bytes += file->size;
        inputs->splits += tqi_inputs_splits_of(inputs, file);
    }
}

static tq_status look_at(tqi_file *file, tq_error *error)
{
    char head[TQI_HEAD_BYTES];
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);
    tq_status status = got < 0 ? tqi_fail_file(error, TQ_E_INPUT, file->path, "%s", strerror(errno)) : TQ_OK;

    if (fd >= 0)
        close(fd);
    file->whole = got > 0 && tqi_codec_recognize(head, (size_t)got) != TQI_PLAIN;
    return status;
}

tq_status tqi_inputs_look(tqi_inputs *inputs, tq_error *error)
{
    tq_status status = TQ_OK;

    for (size_t i = 0; i < inputs->n && !status; i++) {
        if (tqi_inputs_splits_of(inputs, &inputs->files[i]) > 1)
            status = look_at(&inputs->files[i], error);
        inputs->whole_bytes += inputs->files[i].whole ? inputs->files[i].size : 0;
    }
    return status;
}

uint64_t tqi_inputs_text(const tqi_inputs *inputs)
{
    return inputs->bytes + (USUAL_EXPANSION - 1) * inputs->whole_bytes;
}

tq_status tqi_inputs_fail_cut(const char *path, uint64_t size, uint64_t record_bytes, tq_error *error)
{
    uint64_t left = size % record_bytes;

    return tqi_fail_at(error, TQ_E_INPUT, path, size - left,
                       "the last record has %" PRIu64 " bytes, not %" PRIu64 ": %" PRIu64
                       " bytes are no multiple of that",
                       left, record_bytes, size);
}

tq_status tqi_inputs_check_whole(const tqi_inputs *inputs, uint64_t record_bytes, bool decodes, tq_error *error)
{
    for (size_t i = 0; i < inputs->n; i++) {
        tqi_file file = inputs->files[i];

        if (file.stream || file.size % record_bytes == 0)
            continue;
        if (decodes && look_at(&file, error))
            return error->status;
        if (!decodes || !file.whole)
            return tqi_inputs_fail_cut(file.path, file.size, record_bytes, error);
    }
    return TQ_OK;
}

/* The last file whose first split is not behind this one; files without splits share their number with the next. */
static size_t file_of_split(const tqi_inputs *inputs, uint64_t split)
{
    size_t low = 0, high = inputs->n;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (inputs->files[middle].first_split <= split)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t tqi_inputs_locate(const tqi_inputs *inputs, uint64_t split, uint64_t *begin, uint64_t *end)
{
    size_t at = file_of_split(inputs, split);
    const tqi_file *file = &inputs->files[at];

    *begin = (split - file->first_split) * inputs->split_bytes;
    *end = file->whole || file->size - *begin < inputs->split_bytes ? file->size : *begin + inputs->split_bytes;
    return at;
}

uint64_t tqi_inputs_share_end(const tqi_inputs *inputs, uint64_t split)
{
    const tqi_file *file = &inputs->files[file_of_split(inputs, split - 1)];

    return file->whole ? file->first_split + tqi_inputs_splits_of(inputs, file) : split;
}

uint64_t tqi_inputs_work_before(const tqi_inputs *inputs, uint64_t split)
{
    if (inputs->n == 0)
        return 0;
    const tqi_file *file = &inputs->files[file_of_split(inputs, split)];
    uint64_t splits = split - file->first_split;
    uint64_t inside = splits <= file->size / inputs->split_bytes ? splits * inputs->split_bytes : file->size;
    return (file->first_byte + inside) / BYTES_LIKE_A_SPLIT + split;
}

/* The packed table: these numbers, the header, the files. */
typedef struct packed_table {
    uint64_t split_bytes;
    uint64_t has_header, own_headers, is_known;
    uint64_t header_size, header_file;
} packed_table;

/* A file in the packed table: these numbers, then the path with its NUL. */
typedef struct packed_file {
    uint64_t size;
    int64_t modified_ns;
    uint32_t stream, whole;
} packed_file;

tq_status tqi_inputs_pack(const tqi_inputs *inputs, char **bytes, size_t *size)
{
    const tqi_heading *heading = &inputs->heading;
    packed_table table = {inputs->split_bytes,   inputs->has_header, inputs->own_headers, heading->line != NULL, heading->size, heading->file};
    size_t total = sizeof table + heading->size;

    for (size_t i = 0; i < inputs->n; i++)
        total += sizeof(packed_file) + strlen(inputs->files[i].path) + 1;
    char *made = malloc(total), *at = made;
    if (!made)
        return TQ_E_MEMORY;
    at = mempcpy(at, &table, sizeof table);
    if (heading->size)
        at = mempcpy(at, heading->line, heading->size);
    for (size_t i = 0; i < inputs->n; i++) {
        const tqi_file *file = &inputs->files[i];
        packed_file packed = {file->size, file->modified_ns, file->stream, file->whole};

        at = mempcpy(at, &packed, sizeof packed);
        at = mempcpy(at, file->path, strlen(file->path) + 1);
    }
    *bytes = made;
    *size = total;
    return TQ_OK;
}

tq_status tqi_inputs_unpack(tqi_inputs *inputs, const char *bytes, size_t size)
{
    tqi_inputs made = {0};
    const char *end = bytes + size;
    packed_table table;
    tq_status status = TQ_OK;

    memcpy(&table, bytes, sizeof table);
    bytes += sizeof table;
    made.has_header = table.has_header;
    made.own_headers = table.own_headers;
    if (table.is_known) {
        made.heading = (tqi_heading){malloc(table.header_size + 1), table.header_size, table.header_file};
        if (!made.heading.line)
            return TQ_E_MEMORY;
        memcpy(made.heading.line, bytes, table.header_size);
        bytes += table.header_size;
    }
    while (bytes < end && !status) {
        packed_file packed;
        struct stat info = {0};

        memcpy(&packed, bytes, sizeof packed);
        bytes += sizeof packed;
        info.st_mode = S_IFREG;
        info.st_size = (off_t)packed.size;
        status = add_file(&made, bytes, packed.stream ? NULL : &info, NULL);
        if (!status) {
            made.files[made.n - 1].modified_ns = packed.modified_ns;
            made.files[made.n - 1].whole = packed.whole;
            made.whole_bytes += packed.whole ? packed.size : 0;
        }
        bytes += strlen(bytes) + 1;
    }
    if (status) {
        tqi_inputs_free(&made);
        return status;
    }
    tqi_inputs_split(&made, table.split_bytes, 1);
    *inputs = made;
    return TQ_OK;
}

bool tqi_file_same_here(const tqi_file *file)
{
    struct stat info;

    return stat(file->path, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size == file->size &&
           modified_ns(&info) == file->modified_ns;
}
