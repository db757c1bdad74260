/* What ranks say together, and what rank 0 decides from it. */
#include "mpi/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { RANKS = 4, IDLE = 0, BUSY = TQI_SAYS_BUSY, WANTS = TQI_SAYS_ROUND };

static tqi_decision decide(const tqi_tally *tally, double now)
{
    int failed;

    return tqi_tally_decide(tally, now, &failed);
}

static void say(tqi_tally *tally, int rank, unsigned what)
{
    tqi_statement statement = {tally->turn, what, what & TQI_SAYS_FAILED ? rank : -1};

    tqi_tally_hear(tally, rank, &statement, 1);
}

static int set_up(void **state)
{
    static tqi_tally tally;

    *state = &tally;
    return tqi_tally_init(&tally, RANKS) ? 0 : -1;
}

static int tear_down(void **state)
{
    tqi_tally_free(*state);
    return 0;
}

static void test_over_when_nobody_is_busy(void **state)
{
    tqi_tally *tally = *state;

    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(decide(tally, 1), TQI_GO_ON);
        say(tally, r, IDLE);
    }
    assert_int_equal(decide(tally, 1), TQI_OVER);
    tqi_tally_next(tally);
    assert_int_equal(decide(tally, 1), TQI_GO_ON);
}

static void test_a_full_rank_gets_its_round_at_once(void **state)
{
    tqi_tally *tally = *state;

    say(tally, 2, WANTS | TQI_SAYS_URGENT);
    assert_int_equal(decide(tally, 1), TQI_ROUND);
}

static void test_some_pages_wait_while_others_work(void **state)
{
    tqi_tally *tally = *state;

    say(tally, 1, WANTS);
    assert_int_equal(decide(tally, 1), TQI_GO_ON);
    assert_int_equal(decide(tally, 2), TQI_ROUND); /* but not for ever */
}

static void test_some_pages_do_not_wait_for_the_idle(void **state)
{
    tqi_tally *tally = *state;

    for (int r = 0; r < RANKS; r++)
        say(tally, r, r == 1 || r == 3 ? WANTS : IDLE);
    assert_int_equal(decide(tally, 1), TQI_ROUND);
}

static void test_lowest_failure_is_named(void **state)
{
    tqi_tally *tally = *state;
    int failed;

    say(tally, 3, BUSY | TQI_SAYS_FAILED);
    say(tally, 1, TQI_SAYS_FAILED);
    say(tally, 0, WANTS | TQI_SAYS_URGENT | TQI_SAYS_CANCELLED);
    assert_int_equal(tqi_tally_decide(tally, 1, &failed), TQI_STOP);
    assert_int_equal(failed, 1);
}

static void test_a_wish_to_cancel_stops_without_a_failure(void **state)
{
    tqi_tally *tally = *state;
    int failed;

    say(tally, 2, BUSY | TQI_SAYS_CANCELLED);
    assert_int_equal(tqi_tally_decide(tally, 1, &failed), TQI_STOP);
    assert_int_equal(failed, -1);
}

/* A statement that crossed a decision does not count: the rank may be busy again after a round. */
static void test_old_statements_do_not_count(void **state)
{
    tqi_tally *tally = *state;

    for (int r = 0; r < RANKS; r++)
        say(tally, r, IDLE);
    tqi_tally_next(tally);
    for (int r = 0; r < RANKS; r++) {
        tqi_statement old = {tally->turn - 1, IDLE, -1};

        tqi_tally_hear(tally, r, &old, 1);
    }
    assert_int_equal(decide(tally, 1), TQI_GO_ON);
    for (int r = 0; r < RANKS; r++)
        say(tally, r, IDLE);
    assert_int_equal(decide(tally, 1), TQI_OVER);
}

/* The newest statement counts, also one that takes something back. */
static void test_the_newest_counts(void **state)
{
    tqi_tally *tally = *state;

    say(tally, 1, WANTS | TQI_SAYS_URGENT);
    say(tally, 1, BUSY);
    assert_int_equal(decide(tally, 9), TQI_GO_ON);
}

/* What some say together, said to another tally, counts for all of them. */
static void test_together(void **state)
{
    tqi_tally *tally = *state;
    tqi_tally above;
    tqi_statement sum;

    assert_true(tqi_tally_init(&above, 1));
    say(tally, 0, IDLE);
    say(tally, 2, WANTS);
    sum = tqi_tally_sum(tally); /* 1 and 3 have said nothing */
    assert_int_equal(sum.said, BUSY | WANTS);
    assert_int_equal(sum.failed, -1);
    tqi_tally_hear(&above, 0, &sum, 1);
    assert_int_equal(decide(&above, 1), TQI_GO_ON);
    assert_int_equal(decide(&above, 2), TQI_ROUND);
    say(tally, 1, IDLE);
    say(tally, 3, WANTS);
    sum = tqi_tally_sum(tally);
    tqi_tally_hear(&above, 0, &sum, 1);
    assert_int_equal(decide(&above, 1), TQI_ROUND);
    say(tally, 3, TQI_SAYS_FAILED);
    say(tally, 2, BUSY | TQI_SAYS_FAILED);
    sum = tqi_tally_sum(tally);
    assert_int_equal(sum.failed, 2);
    assert_int_equal(sum.said, BUSY | TQI_SAYS_FAILED);
    tqi_tally_free(&above);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_over_when_nobody_is_busy),
        TEST(test_a_full_rank_gets_its_round_at_once),
        TEST(test_some_pages_wait_while_others_work),
        TEST(test_some_pages_do_not_wait_for_the_idle),
        TEST(test_lowest_failure_is_named),
        TEST(test_a_wish_to_cancel_stops_without_a_failure),
        TEST(test_old_statements_do_not_count),
        TEST(test_the_newest_counts),
        TEST(test_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
