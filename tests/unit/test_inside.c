/* Every kernel says of keys what can be said of them one by one. */
#include "node/inside.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { KEYS = 70, TEXT = 1000 };

static const char memory[TEXT + 2];
static const char *const text = memory + 1;

static void assert_inside(const tqi_inside_kernel *kernel, const tq_slice *keys, size_t n, bool expected)
{
    if (kernel->inside(keys, n, text, text + TEXT) != expected)
        fail_msg("%s, %zu keys", kernel->name, n);
}

static void test_kernels(void **state)
{
    const tq_slice wrong[] = {{text - 1, 1}, {text + TEXT, 1}, {text + 3, ((size_t)1 << 30)}, {NULL, 3}};
    tq_slice keys[KEYS];
    size_t n_kernels;
    const tqi_inside_kernel *kernels = tqi_inside_kernels(&n_kernels);

    (void)state;
    for (size_t i = 0; i < KEYS; i++)
        keys[i] = (tq_slice){text + (i * 37) % TEXT, i == 5 ? ((size_t)1 << 30) - 1 : i % 9};
    keys[7].data = text + TEXT - 1;
    for (size_t k = 0; k < n_kernels; k++)
        for (size_t n = 0; n <= KEYS; n++) {
            assert_inside(&kernels[k], keys, n, true);
            for (size_t w = 0; n > 0 && w < sizeof wrong / sizeof wrong[0]; w++) {
                tq_slice held = keys[n - 1];

                keys[n - 1] = wrong[w];
                assert_inside(&kernels[k], keys, n, false);
                assert_inside(&kernels[k], keys, n - 1, true);
                keys[n - 1] = held;
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
