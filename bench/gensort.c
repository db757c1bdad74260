/* Makes records as TeraSort has them: 100 bytes each, of which the first 10, at random, are the key.
 *
 *     gensort RECORDS [equal PERCENT | sorted | text] >FILE
 *
 * equal: so many percent of the records have one key. sorted: the keys ascend. text: keys are printable, so that each record is a
 * line. The same arguments give the same bytes. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD = 100, KEY = 10 };

static uint64_t state = 88172645463325252U;

/* xorshift64* (Marsaglia, 2003; Vigna, 2016) */
static uint64_t next_random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717U;
}

static void fill(char *record, uint64_t number, uint64_t of, uint64_t equal, int sorted, int text)
{
    uint64_t high = next_random(), low = next_random();

    if (sorted)
        high = (uint64_t)((double)number / (double)of * 18446744073709549568.0);
    if (equal > 0 && next_random() % 100 < equal)
        high = low = 0x5555555555555555U;
    for (int i = 0; i < KEY; i++)
        record[i] = (char)(i < 8 ? high >> (56 - 8 * i) : low >> 8 * (i - 8));
    for (int i = 0; text && i < KEY; i++)
        record[i] = (char)(' ' + (unsigned char)record[i] % 95);
    memset(record + KEY, 'A' + (int)(number % 26), RECORD - KEY);
    /* So that each record is another, and its place can be told. */
    snprintf(record + KEY, RECORD - KEY, "  %020" PRIu64 "  ", number);
    record[KEY + 24] = (char)('A' + (int)(number % 26));
    memcpy(record + RECORD - 2, "\r\n", 2);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, equal = 0;
    int sorted = argc == 3 && strcmp(argv[2], "sorted") == 0, text = argc == 3 && strcmp(argv[2], "text") == 0;
    char record[RECORD];

    if (argc == 4 && strcmp(argv[2], "equal") == 0)
        equal = strtoull(argv[3], NULL, 10);
    else if (argc != 2 && !sorted && !text)
        return fprintf(stderr, "usage: gensort RECORDS [equal PERCENT | sorted | text] >FILE\n"), 2;
    for (uint64_t i = 0; i < n; i++) {
        fill(record, i, n, equal, sorted, text);
        if (fwrite(record, RECORD, 1, stdout) != 1)
            return perror("gensort"), 4;
    }
    return fflush(stdout) ? 4 : 0;
}
