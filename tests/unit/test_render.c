/* How progress looks: snapshots go in, text is compared; and what comes from the ranks through the launcher: frames and mpirun's
 * own messages. The terminal is a file in memory. */
#include <tequio/tequio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* The command is no library: its sources are compiled into the test. */
#include "cli/banner.c"
#include "cli/estimate.c"
#include "cli/link.c"
#include "cli/render.c"
#include "cli/render_bar.c"
#include "cli/render_json.c"
#include "cli/render_lines.c"
#include "cli/screen.c"
#include "cli/units.c"

/* ---- Helpers --------------------------------------------------------------------------------------------------------- */

typedef struct fixture {
    cli_screen screen;
    cli_estimate estimate;
    tq_progress progress;
    char seen[65536];
} fixture;

static void begin(fixture *f, int columns)
{
    static const char *const tags[] = {"map", "shuffle", "reduce", "write"};

    memset(f, 0, sizeof *f);
    f->screen = (cli_screen){.fd = memfd_create("screen", MFD_CLOEXEC), .terminal = true, .columns = columns};
    assert_true(f->screen.fd >= 0);
    f->progress = (tq_progress){.ranks = 1, .silent_rank = -1, .still.rank = -1};
    for (int i = 0; i < TQ_PHASES; i++) {
        f->progress.phases[i].tag = tags[i];
        f->progress.phases[i].slowest_rank = -1;
    }
}

/* What was written since the last call, or since the beginning. */
static const char *seen(fixture *f)
{
    off_t size = lseek(f->screen.fd, 0, SEEK_CUR);

    assert_true(size >= 0 && (size_t)size < sizeof f->seen);
    assert_int_equal(pread(f->screen.fd, f->seen, (size_t)size, 0), size);
    f->seen[size] = '\0';
    assert_int_equal(ftruncate(f->screen.fd, 0), 0);
    lseek(f->screen.fd, 0, SEEK_SET);
    return f->seen;
}

static void feed(fixture *f, cli_renderer *renderer, tq_phase phase, double seconds)
{
    f->progress.seconds = seconds;
    cli_estimate_update(&f->estimate, &f->progress);
    renderer->update(renderer, &f->progress, phase, &f->estimate);
}

static void end(fixture *f, cli_renderer *renderer, bool succeeded)
{
    renderer->finish(renderer, succeeded);
    close(f->screen.fd);
}

/* The map phase, at percent of 2000 MiB in 100 splits after so many seconds. */
static void set_map(fixture *f, int percent, double seconds)
{
    tq_phase_progress *p = &f->progress.phases[TQ_PHASE_MAP];

    p->started = true;
    p->finished = percent == 100;
    p->done = (uint64_t)percent;
    p->not_done = 100 - p->done;
    p->bytes_total = (uint64_t)2000 << 20;
    p->bytes = p->bytes_total / 100 * p->done;
    p->seconds = seconds;
    if (p->finished)
        f->progress.phase = TQ_PHASE_REDUCE;
}

static void set_reduce(fixture *f, uint64_t done, double seconds)
{
    tq_phase_progress *p = &f->progress.phases[TQ_PHASE_REDUCE];

    p->started = true;
    p->finished = done == 64;
    p->done = done;
    p->not_done = 64 - done;
    p->seconds = seconds;
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------------- */

static void test_units(void **state)
{
    (void)state;
    char t[64];

    assert_string_equal(cli_bytes(0, t, sizeof t), "0 B");
    assert_string_equal(cli_bytes(999, t, sizeof t), "999 B");
    assert_string_equal(cli_bytes(1000, t, sizeof t), "0.98 KiB");
    assert_string_equal(cli_bytes((uint64_t)5 << 30, t, sizeof t), "5.00 GiB");
    assert_string_equal(cli_bytes((uint64_t)999 << 20, t, sizeof t), "999 MiB");
    assert_string_equal(cli_bytes(UINT64_MAX, t, sizeof t), "16.0 EiB");
    assert_string_equal(cli_bytes_of((uint64_t)512 << 20, (uint64_t)2 << 30, t, sizeof t), "0.5/2.0 GiB");
    assert_string_equal(cli_bytes_of(3, 640, t, sizeof t), "3/640 B");
    assert_string_equal(cli_count(0, t, sizeof t), "0");
    assert_string_equal(cli_count(999, t, sizeof t), "999");
    assert_string_equal(cli_count(12345, t, sizeof t), "12.3k");
    assert_string_equal(cli_count(999999, t, sizeof t), "1.00M");
    assert_string_equal(cli_rate(1048576.0 * 310, t, sizeof t), "310 MiB/s");
    assert_string_equal(cli_rate(-1, t, sizeof t), "0 B/s");
    assert_string_equal(cli_elapsed(0.042, t, sizeof t), "0.04 s");
    assert_string_equal(cli_elapsed(59.94, t, sizeof t), "59.9 s");
    assert_string_equal(cli_elapsed(59.96, t, sizeof t), "1:00");
    assert_string_equal(cli_clock(3723, t, sizeof t), "1:02:03");
}

/* A steady pace is told as it is; a change is followed within a few seconds; the end is exact. */
static void test_estimate(void **state)
{
    (void)state;
    fixture f;
    const cli_phase_estimate *map = &f.estimate.phase[TQ_PHASE_MAP];

    begin(&f, 80);
    for (int i = 0; i <= 40; i++) {
        set_map(&f, i, i * 0.5);
        cli_estimate_update(&f.estimate, &f.progress);
    }
    assert_true(map->known && map->rate_in_bytes);
    assert_true(map->left_s > 29.9 && map->left_s < 30.1);
    assert_true(map->per_s > 39.9 * 1048576 && map->per_s < 40.1 * 1048576);
    for (int i = 41; i <= 80; i++) { /* half as fast */
        set_map(&f, i, 20 + (i - 40));
        cli_estimate_update(&f.estimate, &f.progress);
    }
    assert_true(map->left_s > 19 && map->left_s < 20.5);
    set_map(&f, 100, 80);
    cli_estimate_update(&f.estimate, &f.progress);
    assert_true(map->fraction == 1.0 && map->left_s == 0.0);
    close(f.screen.fd);
}

/* ---- Bars -------------------------------------------------------------------------------------------------------------- */

static void test_bar(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 80);
    cli_renderer *bar = cli_render_bar(&f.screen);
    set_map(&f, 0, 0);
    feed(&f, bar, TQ_PHASE_MAP, 0);
    assert_string_equal(seen(&f),
                        "map     ..........................   0%     0.0/2.0 GiB                    0:00\033[K\n");
    set_map(&f, 50, 5);
    feed(&f, bar, TQ_PHASE_MAP, 5);
    assert_string_equal(seen(&f),
                        "\033[1A\r"
                        "map     #############.............  50%     1.0/2.0 GiB  200 MiB/s    0:05 left\033[K\n"
                        "\033[J");
    end(&f, bar, true);
}

static void test_bar_phases(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 80);
    cli_renderer *bar = cli_render_bar(&f.screen);
    set_map(&f, 100, 10);
    set_reduce(&f, 16, 2);
    feed(&f, bar, TQ_PHASE_REDUCE, 12);
    assert_string_equal(seen(&f),
                        "map     ########################## 100%        1.95 GiB  200 MiB/s       10.0 s\033[K\n"
                        "reduce  ######....................  25%     16/64 parts        8/s    0:06 left\033[K\n");
    /* What is left for good, before something else is written on the same screen; and then no more. */
    bar->freeze(bar);
    assert_string_equal(seen(&f),
                        "\033[2A\r"
                        "map     ########################## 100%        1.95 GiB  200 MiB/s       10.0 s\033[K\n"
                        "\033[J");
    bar->freeze(bar);
    set_reduce(&f, 64, 8);
    feed(&f, bar, TQ_PHASE_REDUCE, 18);
    assert_string_equal(seen(&f), "");
    end(&f, bar, true);
}

/* Every width gives lines that fit, and the narrow ones keep what matters most. */
static void test_bar_widths(void **state)
{
    (void)state;

    for (int columns = 1; columns <= 200; columns++) {
        fixture f;
        begin(&f, columns);
        cli_renderer *bar = cli_render_bar(&f.screen);
        set_map(&f, 30, 3);
        feed(&f, bar, TQ_PHASE_MAP, 3);
        const char *line = seen(&f);
        size_t length = strcspn(line, "\033");
        if (columns >= 14)
            assert_true(length < (size_t)columns);
        if (columns == 40)
            assert_memory_equal(line, "map     ###..........  30%    0:07 left\033[K\n", 43);
        if (columns == 20)
            assert_memory_equal(line, "map       30%\033[K\n", 17);
        if (columns >= 112)
            assert_int_equal(length, 110);
        end(&f, bar, true);
    }
}

/* Lines that a narrower terminal has wrapped are found again. */
static void test_bar_resize(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 80);
    cli_renderer *bar = cli_render_bar(&f.screen);
    set_map(&f, 10, 1);
    feed(&f, bar, TQ_PHASE_MAP, 1);
    seen(&f);
    ((bar_renderer *)bar)->screen.columns = 30; /* 79 columns are 3 lines now */
    feed(&f, bar, TQ_PHASE_MAP, 2);
    assert_memory_equal(seen(&f), "\033[3A\r", 5);
    ((bar_renderer *)bar)->screen.columns = 80;
    feed(&f, bar, TQ_PHASE_MAP, 3);
    assert_memory_equal(seen(&f), "\033[1A\r", 5);
    end(&f, bar, true);
}

static void test_bar_colours(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 40);
    f.screen.colour = true;
    f.screen.utf8 = true;
    cli_renderer *bar = cli_render_bar(&f.screen);
    set_map(&f, 30, 3);
    feed(&f, bar, TQ_PHASE_MAP, 3);
    assert_string_equal(seen(&f), "map     \033[36m███\033[0m\033[90m░░░░░░░░░░\033[0m  30%    0:07 left\033[K\n");
    end(&f, bar, true);
}

static void test_bar_print(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 40);
    cli_renderer *bar = cli_render_bar(&f.screen);
    bar->print(bar, "before", 6);
    assert_string_equal(seen(&f), "before\n");
    set_map(&f, 30, 3);
    feed(&f, bar, TQ_PHASE_MAP, 3);
    seen(&f);
    bar->print(bar, "between", 7);
    assert_string_equal(seen(&f), "\033[1A\r\033[Jbetween\nmap     ###..........  30%    0:07 left\033[K\n\033[J");
    end(&f, bar, false);
}

static void test_bar_trouble(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 60);
    cli_renderer *bar = cli_render_bar(&f.screen);
    f.progress.ranks = 4;
    set_map(&f, 60, 6);
    f.progress.phases[TQ_PHASE_MAP].slowest_rank = 2;
    f.progress.phases[TQ_PHASE_MAP].slowest_done = 5;
    f.progress.phases[TQ_PHASE_MAP].slowest_not_done = 20;
    feed(&f, bar, TQ_PHASE_MAP, 6);
    assert_non_null(strstr(seen(&f), "\nrank 2 is behind in map: 20% of its splits, all together 60\033[K\n"));
    f.progress.silent_rank = 3;
    f.progress.silent_s = 12.3;
    feed(&f, bar, TQ_PHASE_MAP, 7);
    assert_non_null(strstr(seen(&f), "\nrank 3 has been silent for 12 s\033[K\n"));
    f.progress.silent_s = 0.4;
    f.progress.still = (tq_still){6.4, 1, TQ_PHASE_MAP, 4096, "notes.txt"};
    feed(&f, bar, TQ_PHASE_MAP, 7.2);
    assert_non_null(strstr(seen(&f), "\nrank 1 has stood still for 6 s at byte 4096 of notes.txt\033[K\n"));
    f.progress.still = (tq_still){6.4, 1, TQ_PHASE_REDUCE, 7, ""};
    feed(&f, bar, TQ_PHASE_MAP, 7.4);
    assert_non_null(strstr(seen(&f), "\nrank 1 has stood still for 6 s reducing partition 7\033[K\n"));
    f.progress.still.seconds = 4.9;
    f.progress.phases[TQ_PHASE_MAP].slowest_done = 14;
    f.progress.phases[TQ_PHASE_MAP].slowest_not_done = 11;
    feed(&f, bar, TQ_PHASE_MAP, 8);
    assert_null(strstr(seen(&f), "rank"));
    end(&f, bar, true);
}

/* The standard input has no size: no percentage is made up. */
static void test_bar_unknown_size(void **state)
{
    (void)state;
    fixture f;
    tq_phase_progress *map = &f.progress.phases[TQ_PHASE_MAP];

    begin(&f, 60);
    cli_renderer *bar = cli_render_bar(&f.screen);
    map->started = true;
    map->bytes = 5 << 20;
    map->seconds = 2;
    feed(&f, bar, TQ_PHASE_MAP, 2);
    const char *line = seen(&f);
    assert_null(strchr(line, '%'));
    assert_non_null(strstr(line, "5.00 MiB"));
    end(&f, bar, true);
}

/* ---- Lines ------------------------------------------------------------------------------------------------------------- */

/* Unasked: nothing before 2 s, then 4 s, 8 s later ..., and one line in the end. */
static void test_lines_sparse(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 80);
    cli_renderer *lines = cli_render_lines(&f.screen, 2, 60, false);
    for (int i = 0; i < 100; i++) {
        set_map(&f, i, i * 0.2);
        feed(&f, lines, TQ_PHASE_MAP, i * 0.2);
    }
    assert_string_equal(seen(&f), "tequio: map 10%, 0.2/2.0 GiB, 100 MiB/s, 0:18 left\n"
                                  "tequio: map 30%, 0.6/2.0 GiB, 100 MiB/s, 0:14 left\n"
                                  "tequio: map 70%, 1.4/2.0 GiB, 100 MiB/s, 0:06 left\n");
    set_map(&f, 100, 20);
    feed(&f, lines, TQ_PHASE_MAP, 20);
    set_reduce(&f, 64, 0.5);
    feed(&f, lines, TQ_PHASE_REDUCE, 20.5);
    assert_string_equal(seen(&f), "");
    lines->finish(lines, true);
    assert_string_equal(seen(&f), "tequio: done in 20.5 s: map 20.0 s (1.95 GiB), reduce 0.50 s\n");
    close(f.screen.fd);
}

static void test_lines_of_a_short_run(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 80);
    cli_renderer *lines = cli_render_lines(&f.screen, 2, 60, false);
    set_map(&f, 50, 0.5);
    feed(&f, lines, TQ_PHASE_MAP, 0.5);
    set_map(&f, 100, 1);
    feed(&f, lines, TQ_PHASE_MAP, 1);
    lines->finish(lines, true);
    assert_string_equal(seen(&f), "");
    close(f.screen.fd);
}

/* Asked for: a line for the end of each phase, once. */
static void test_lines_asked_for(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 80);
    cli_renderer *lines = cli_render_lines(&f.screen, 0.5, 0.5, true);
    set_map(&f, 50, 0.5);
    feed(&f, lines, TQ_PHASE_MAP, 0.5);
    feed(&f, lines, TQ_PHASE_MAP, 0.6);
    set_map(&f, 100, 1);
    feed(&f, lines, TQ_PHASE_MAP, 1);
    feed(&f, lines, TQ_PHASE_MAP, 1);
    set_reduce(&f, 64, 0.5);
    feed(&f, lines, TQ_PHASE_REDUCE, 1.5);
    lines->finish(lines, true);
    assert_string_equal(seen(&f), "tequio: map 50%, 1.0/2.0 GiB, 1.95 GiB/s, 0:01 left\n"
                                  "tequio: map done, 1.95 GiB in 1.0 s, 1.95 GiB/s\n"
                                  "tequio: reduce done, 64 parts in 0.50 s, 128/s\n");
    close(f.screen.fd);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------------- */

static void test_json(void **state)
{
    (void)state;
    fixture f;

    begin(&f, 80);
    cli_renderer *json = cli_render_json(&f.screen);
    set_map(&f, 50, 5);
    feed(&f, json, TQ_PHASE_MAP, 5.5);
    assert_string_equal(seen(&f),
                        "{\"tag\":\"map\",\"done\":50,\"not_done\":50,\"unit\":\"splits\",\"bytes\":1048576000,"
                        "\"bytes_total\":2097152000,\"records\":0,\"seconds\":5.000000,\"rate\":209715200.0,"
                        "\"rate_unit\":\"bytes/s\",\"left_s\":5.000,\"finished\":false,\"run_s\":5.500000,\"ranks\":1,"
                        "\"slowest_rank\":null,\"silent_rank\":null,\"silent_s\":0.000,\"still_rank\":null,"
                        "\"still_s\":0.000,\"still_phase\":\"map\",\"still_offset\":0,\"still_file\":null}\n");
    f.progress.still = (tq_still){1.5, 0, TQ_PHASE_MAP, 12, "a \"b\"\n\xc3\xa9"};
    feed(&f, json, TQ_PHASE_MAP, 6);
    assert_non_null(strstr(seen(&f), "\"still_rank\":0,\"still_s\":1.500,\"still_phase\":\"map\",\"still_offset\":12,"
                                     "\"still_file\":\"a \\u0022b\\u0022\\u000a\\udcc3\\udca9\"}\n"));
    set_map(&f, 100, 10);
    feed(&f, json, TQ_PHASE_MAP, 10);
    assert_non_null(strstr(seen(&f), "\"not_done\":0,"));
    feed(&f, json, TQ_PHASE_MAP, 11);
    assert_string_equal(seen(&f), ""); /* the last report is the last */
    end(&f, json, true);
}

/* ---- From the ranks ---------------------------------------------------------------------------------------------------- */

static void test_frames(void **state)
{
    (void)state;
    fixture f;
    cli_frame parsed;
    char text[4096];

    begin(&f, 80);
    set_map(&f, 30, 1.25);
    f.progress.seconds = 2.5;
    f.progress.phases[TQ_PHASE_WRITE].records = UINT64_MAX;
    f.progress.silent_rank = 7;
    f.progress.silent_s = 1.5;
    f.progress.still = (tq_still){2.25, 3, TQ_PHASE_REDUCE, 99, " a file\n with blanks "};
    size_t size = cli_frame_snapshot(&f.progress, TQ_PHASE_MAP, text, sizeof text);
    assert_int_equal(size, strlen(text));
    assert_int_equal(text[size - 1], '\n');
    text[size - 1] = '\0';
    assert_true(cli_frame_parse(text, &parsed));
    assert_int_equal(parsed.kind, FRAME_SNAPSHOT);
    assert_int_equal(parsed.phase, TQ_PHASE_MAP);
    assert_int_equal(parsed.progress.still.rank, 3);
    assert_int_equal(parsed.progress.still.phase, TQ_PHASE_REDUCE);
    assert_string_equal(parsed.progress.still.file, " a file? with blanks ");
    char again[4096];
    assert_int_equal(cli_frame_snapshot(&parsed.progress, parsed.phase, again, sizeof again), size);
    again[size - 1] = '\0';
    assert_string_equal(text, again);
    assert_int_equal(cli_frame_snapshot(&f.progress, TQ_PHASE_MAP, text, 40), 0);

    assert_true(cli_frame_parse("\036E 141", &parsed));
    assert_int_equal(parsed.status, 141);
    assert_true(cli_frame_parse("\036H", &parsed));
    assert_false(cli_frame_parse("\036S 9 1 1", &parsed));
    assert_false(cli_frame_parse("\036S", &parsed));
    assert_false(cli_frame_parse("\036", &parsed));
    assert_false(cli_frame_parse("", &parsed));
    assert_false(cli_frame_parse("plain", &parsed));
    close(f.screen.fd);
}

static void collect(const char *line, size_t size, void *user)
{
    strncat(user, line, size);
    strcat(user, "|");
}

#define RULE "--------------------------------------------------------------------------"

/* Feed text line by line; returns what passed, lines ended by |. */
static const char *through(const char *text, cli_verdict *verdict)
{
    static char passed[4096];

    passed[0] = '\0';
    cli_banner *banner = cli_banner_create("hosts", collect, passed);
    cli_banner_set_mpirun(banner, 817);
    while (*text) {
        size_t size = strcspn(text, "\n");
        cli_banner_line(banner, text, size);
        text += size + (text[size] == '\n');
    }
    cli_banner_flush(banner);
    *verdict = *cli_banner_verdict(banner);
    cli_banner_destroy(banner);
    return passed;
}

static void test_banner_signal(void **state)
{
    (void)state;
    cli_verdict v;
    const char *passed =
        through(RULE "\nPrimary job  terminated normally, but 1 process returned\na non-zero exit code. Per "
                     "user-direction, the job has been aborted.\n" RULE "\nof a rank\n" RULE
                     "\nmpirun noticed that process rank 2 with PID 0 on node h1 exited on signal 9 (Killed).\n" RULE,
                &v);
    assert_string_equal(passed, "of a rank|");
    assert_int_equal(v.status, TQ_E_RANK_LOST);
    assert_int_equal(v.signal, 9);
    assert_string_equal(v.message, "rank 2 on host h1 was killed by signal 9 (Killed)");
}

static void test_banner_exit(void **state)
{
    (void)state;
    cli_verdict v;
    assert_string_equal(
        through(RULE "\nmpirun detected that one or more processes exited with non-zero status, thus causing\nthe "
                     "job to be terminated. The first process to do so was:\n\n  Process name: [[25408,1],11]\n"
                     "  Exit code:    5\n" RULE,
                &v),
        "");
    assert_int_equal(v.rank, 11);
    assert_int_equal(v.exit_code, 5);
    through(RULE
            "\nmpirun has exited due to process rank 1 with PID 0 on\nnode vm exiting improperly. There are three "
            "reasons this "
            "could occur:\n\n1. this process did not call \"init\" before exiting, but others in\nthe job did.\n" RULE,
            &v);
    assert_int_equal(v.status, TQ_E_RANK_LOST);
    assert_string_equal(v.message, "rank 1 on host vm ended in the middle of the run and gave no reason");
}

static void test_banner_hosts(void **state)
{
    (void)state;
    cli_verdict v;
    through(RULE
            "\nThere are not enough slots available in the system to satisfy the 3\nslots that were requested by the "
            "application:\n\n  ./r\n" RULE,
            &v);
    assert_int_equal(v.status, TQ_E_MPI);
    assert_non_null(strstr(v.message, "hosts has fewer than 3 slots"));
    through(RULE "\nORTE has lost communication with a remote daemon.\n\n  HNP daemon   : [[1,0],0] on node h0\n  "
                 "Remote daemon: "
                 "[[1,0],1] on node h2\n\nThis is usually due to either a failure of the TCP network\n" RULE,
            &v);
    assert_int_equal(v.status, TQ_E_RANK_LOST);
    assert_non_null(strstr(v.message, "host h2"));
    assert_string_equal(
        through("ssh: Could not resolve hostname nohost\r\n" RULE
                "\nORTE was unable to reliably start one or more daemons.\nThis usually is caused by:\n" RULE,
                &v),
        "ssh: Could not resolve hostname nohost|");
    assert_int_equal(v.status, TQ_E_MPI);
    through(
        RULE
        "\nmpirun was unable to launch the specified application as it could not access\nor execute an executable:\n\n"
        "Executable: /opt/tequio\nNode: h3\n\nwhile attempting to start process rank 0.\n" RULE,
        &v);
    assert_string_equal(v.message, "host h3 cannot run /opt/tequio: install tequio there under the same path");
}

/* What is not mpirun's, or not known, is not swallowed. */
static void test_banner_passes(void **state)
{
    (void)state;
    cli_verdict v;
    assert_string_equal(through("a\n\n" RULE "\nnews of a later version\n" RULE "\nb\n", &v),
                        "a||" RULE "|news of a later version|" RULE "|b|");
    assert_string_equal(through("---\n" RULE "\nno end", &v), "---|" RULE "|no end|");
    assert_string_equal(
        through("[h:1] 3 more processes have sent help message help-mpi.txt / x\nmpirun: Forwarding signal 10 to job",
                &v),
        "");
    assert_string_equal(through("[h:00817] news\n[h:00817] *** Process received signal ***\na\n[h:00817] Signal: 11\n"
                                "[h:00818] Signal: 6\n[h:00817] *** End of error message ***\n[h:00817] more",
                                &v),
                        "[h:00817] news|a|[h:00818] Signal: 6|[h:00817] more|");
    assert_int_equal(v.status, TQ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_estimate),
        cmocka_unit_test(test_bar),
        cmocka_unit_test(test_bar_phases),
        cmocka_unit_test(test_bar_widths),
        cmocka_unit_test(test_bar_resize),
        cmocka_unit_test(test_bar_colours),
        cmocka_unit_test(test_bar_print),
        cmocka_unit_test(test_bar_trouble),
        cmocka_unit_test(test_bar_unknown_size),
        cmocka_unit_test(test_lines_sparse),
        cmocka_unit_test(test_lines_of_a_short_run),
        cmocka_unit_test(test_lines_asked_for),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_banner_signal),
        cmocka_unit_test(test_banner_exit),
        cmocka_unit_test(test_banner_hosts),
        cmocka_unit_test(test_banner_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
