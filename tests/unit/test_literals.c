/* A few strings in a text: however many places are looked at at a time, the same is found, and a line without a string is never
 * taken for one with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

/* The command is no library. */
#include "jobs/literals.c"

enum { ROUNDS = 3000, TEXT_BYTES = 64 << 10, MOST_BYTES = 300 };

static bool is_at(const literals *searched, int i, const char *at, const char *end)
{
    size_t size = searched->set.strings[i].size;
    if ((size_t)(end - at) < size)
        return false;
    for (size_t j = 0; j < size; j++) {
        char a = at[j], b = searched->set.strings[i].bytes[j];
        if (searched->fold ? lower_case(a) != lower_case(b) : a != b)
            return false;
    }
    return true;
}

/* The first place of a window around which all of its string stands. */
static const char *find_simply(const literals *searched, const char *from, const char *end)
{
    for (const char *at = from; at < end; at++)
        for (int i = 0; i < searched->set.n; i++)
            if (at - from >= searched->place[i] && is_at(searched, i, at - searched->place[i], end))
                return at;
    return NULL;
}

static literal_set random_set(uint64_t *random)
{
    literal_set set = {.n = 1 + (int)random_below(random, LITERALS_MOST)};
    size_t most = 1 + random_below(random, 8);
    for (int i = 0; i < set.n; i++) {
        set.strings[i].size = (uint8_t)(1 + random_below(random, most));
        random_text(random, "abcAB .", 7, set.strings[i].bytes, set.strings[i].size);
    }
    return set;
}

/* Mostly other letters, so that what is found is found late, or letters of the strings alone. The text ends where memory does. */
static void check(char *end, uint64_t *random)
{
    static const char letters[] = "abcAB .\n", others[] = "xyzXYZ,\nxyzXYZ,\nxyzXYZ,\nxyzXYZ,\nabcAB.\n";
    literal_set set = random_set(random);
    size_t size = random_below(random, MOST_BYTES + 1);
    const char *alphabet = random_below(random, 4) ? others : letters, *expected;
    literals searched;
    random_text(random, alphabet, strlen(alphabet), end - size, size);
    literals_prepare(&searched, &set, random_below(random, 2));
    expected = find_simply(&searched, end - size, end);
    for (int places = searched.places; places >= 1; places = places > 32 ? 32 : places > 1 ? 1 : 0) {
        searched.places = places;
        assert_ptr_equal(literals_find(&searched, end - size, end), expected);
    }
}

static void test_same_by_any_width(void **state)
{
    char *text = fenced_new(TEXT_BYTES);
    uint64_t random = 1;
    (void)state;
    for (int round = 0; round < ROUNDS; round++)
        check(text + TEXT_BYTES, &random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_by_any_width)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
