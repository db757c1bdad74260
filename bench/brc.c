/* Rows "station;12.3" for benchmarks, as the One Billion Row Challenge has them: a name, a semicolon, a temperature
 * from -99.9 to 99.9 with one digit behind the point.
 *
 *     cc -O2 -o brc bench/brc.c
 *     brc OUTPUT [--rows 100000000] [--stations 413] [--seed 7]
 *
 * Stations are made-up names of 3 to 26 bytes, 8 on the average and 3 in 100 longer than 16, some with a space, a
 * hyphen or letters outside ASCII. Each row draws a station, all alike, and a temperature around that station's own
 * mean, 10 degrees of deviation. Nothing but integers decides, so the same options give the same file on any machine.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 26, OUTPUT_BYTES = 1 << 20, ROW_BYTES = LONGEST + 8, MOST_TENTHS = 999 };

typedef struct Station {
    char name[LONGEST + 1];
    uint8_t length;
    int mean; /* tenths of a degree */
} Station;

static uint64_t state_;

static uint64_t random64(void) /* splitmix64 */
{
    uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* 0 .. n - 1, from 32 random bits. */
static uint64_t below(uint64_t bits, uint64_t n)
{
    return (uint64_t)(uint32_t)bits * n >> 32;
}

static int draw_length(void)
{
    static const struct {
        int length, of_1000;
    } bands[] = {{3, 25},  {4, 80},  {5, 130}, {6, 165}, {7, 155}, {8, 130}, {9, 90},
                 {10, 65}, {11, 45}, {12, 35}, {13, 20}, {14, 15}, {15, 10}, {16, 5}};
    int at = (int)below(random64(), 1000);

    for (size_t i = 0; i < sizeof bands / sizeof bands[0]; i++)
        if ((at -= bands[i].of_1000) < 0)
            return bands[i].length;
    return 17 + (int)below(random64(), LONGEST - 16);
}

/* Consonants and vowels in turns; in a long name a second word. */
static void make_name(Station *station)
{
    static const char consonants[] = "bcdfghjklmnprstvwz", vowels[] = "aeiou";
    static const char *const others[] = {"\xc3\xa9", "\xc3\xbc", "\xc3\xa5", "\xc3\xb8"}; /* two bytes each */
    int length = draw_length();
    int gap = length > 8 && random64() % 4 == 0 ? length / 2 : -1;
    bool starts = true, vowel = random64() % 4 == 0;

    for (int i = 0; i < length; i++, vowel = !vowel) {
        char letter =
            vowel ? vowels[below(random64(), sizeof vowels - 1)] : consonants[below(random64(), sizeof consonants - 1)];

        if (i == gap) {
            station->name[i] = random64() % 3 == 0 ? '-' : ' ';
            starts = true;
            continue;
        }
        if (vowel && !starts && i + 1 < length && i + 1 != gap && random64() % 24 == 0) {
            memcpy(station->name + i, others[below(random64(), sizeof others / sizeof others[0])], 2);
            i++;
            continue;
        }
        station->name[i] = starts ? (char)(letter - 'a' + 'A') : letter;
        starts = false;
    }
    station->length = (uint8_t)length;
    station->mean = (int)below(random64(), 450) - 100;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const Station *)a)->name, ((const Station *)b)->name);
}

/* n stations of different names. */
static Station *make_stations(size_t n)
{
    Station *stations = calloc(n, sizeof *stations);
    size_t made = 0;

    while (stations && made < n) {
        size_t kept = 0;

        for (; made < n; made++) {
            memset(&stations[made], 0, sizeof stations[made]);
            make_name(&stations[made]);
        }
        qsort(stations, n, sizeof *stations, by_name);
        for (size_t i = 0; i < n; i++)
            if (kept == 0 || strcmp(stations[i].name, stations[kept - 1].name) != 0)
                stations[kept++] = stations[i];
        made = kept;
    }
    return stations;
}

/* The sum of four numbers of 16 bits is bell-shaped: a mean of 2^17 and a deviation of 37,837, which become 0 and 100.
 */
static int draw_tenths(int mean)
{
    uint64_t bits = random64();
    int64_t sum = (int64_t)((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
    int tenths = mean + (int)((sum - (1 << 17)) * 100 / 37837);

    return tenths > MOST_TENTHS ? MOST_TENTHS : tenths < -MOST_TENTHS ? -MOST_TENTHS : tenths;
}

static char *put_row(char *to, const Station *station)
{
    int tenths = draw_tenths(station->mean), size = tenths < 0 ? -tenths : tenths;

    memcpy(to, station->name, LONGEST);
    to += station->length;
    *to++ = ';';
    if (tenths < 0)
        *to++ = '-';
    if (size >= 100)
        *to++ = (char)('0' + size / 100);
    *to++ = (char)('0' + size / 10 % 10);
    *to++ = '.';
    *to++ = (char)('0' + size % 10);
    *to++ = '\n';
    return to;
}

static bool write_rows(FILE *file, uint64_t rows, const Station *stations, uint64_t n)
{
    char *output = malloc(OUTPUT_BYTES), *at = output;
    bool good = output != NULL;

    for (uint64_t i = 0; i < rows && good; i++) {
        at = put_row(at, &stations[below(random64(), n)]);
        if (at > output + OUTPUT_BYTES - 2 * ROW_BYTES || i + 1 == rows) {
            good = fwrite(output, 1, (size_t)(at - output), file) == (size_t)(at - output);
            at = output;
        }
    }
    free(output);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t rows = 100000000, stations = 413;

    state_ = 7;
    for (int i = 2; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);

        if (strcmp(argv[i], "--rows") == 0)
            rows = value;
        else if (strcmp(argv[i], "--stations") == 0)
            stations = value;
        else if (strcmp(argv[i], "--seed") == 0)
            state_ = value;
        else
            argc = 0;
    }
    if (argc < 2 || argc % 2 != 0 || stations < 1 || stations > 1000000) {
        fprintf(stderr, "usage: brc OUTPUT [--rows 100000000] [--stations 413] [--seed 7]\n");
        return 2;
    }
    FILE *file = fopen(argv[1], "wb");
    Station *made = make_stations(stations);
    if (!file || !made || !write_rows(file, rows, made, stations) || fclose(file) != 0) {
        perror("brc");
        return 1;
    }
    free(made);
    return 0;
}
