/* A text of made-up words for benchmarks: many different words, as natural text has too few of.
 *
 *     cc -O2 -o zipf bench/zipf.c -lm
 *     zipf OUTPUT [--mib 1024] [--words 10000000] [--exponent 1.0] [--seed 7] [--distinct]
 *
 * The words are drawn by Zipf's law: the one of rank r with a weight of 1 / r^exponent. Besides, each of them is written once,
 * spread evenly over the text, so that exactly so many different words are in it (if they fit). With --distinct no word
 * occurs twice at all. Frequent words are short: 2-4 bytes for the first hundred, 5-14 from rank 100,000 on. The same
 * options give the same file on any machine with the same libm. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 2, LONGEST = 14, LINE = 72 };

typedef struct Word {
    char bytes[LONGEST + 1];
    uint8_t length;
} Word;

static uint64_t state_, made_[LONGEST + 1], room_[LONGEST + 1], step_[LONGEST + 1], from_[LONGEST + 1];

static uint64_t random64(void) /* splitmix64 */
{
    uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static double random1(void)
{
    return (double)(random64() >> 11) * 0x1p-53;
}

/* A word that was not made before: of each length, number n is n * step + from modulo 26^length, and no more than half are. */
static Word make_word(uint64_t rank)
{
    static const struct {
        uint64_t rank;
        int shortest, longest;
    } bands[] = {{100, 2, 4}, {1000, 3, 7}, {10000, 4, 9}, {100000, 5, 11}, {UINT64_MAX, 5, LONGEST}};
    int band = 0;
    while (rank >= bands[band].rank)
        band++;
    int length = bands[band].shortest + (int)(random64() % (uint64_t)(bands[band].longest - bands[band].shortest + 1));
    while (length < LONGEST && made_[length] >= room_[length] / 2)
        length++;
    uint64_t number = (uint64_t)(((unsigned __int128)made_[length]++ * step_[length] + from_[length]) % room_[length]);
    Word word = {.length = (uint8_t)length};
    for (int i = 0; i < length; i++, number /= 26)
        word.bytes[i] = (char)('a' + number % 26);
    return word;
}

static void prepare_words(void)
{
    uint64_t room = 26;
    for (int length = SHORTEST; length <= LONGEST; length++) {
        room_[length] = room *= 26;
        step_[length] =
            (uint64_t)((double)room * 0.6180339887) | 1; /* odd, and made no multiple of 13: prime to 26^length */
        step_[length] += step_[length] % 13 ? 0 : 2;
        from_[length] = random64() % room;
    }
}

/* Zipf's law by rejection and inversion (Hoermann and Derflinger, 1996). */
typedef struct Zipf {
    double exponent, first, last, always;
    uint64_t count;
} Zipf;

static double integral(double exponent, double x)
{
    double log_x = log(x), y = (1 - exponent) * log_x;
    return (fabs(y) > 1e-8 ? expm1(y) / y : 1 + y / 2) * log_x;
}

static double inverse(double exponent, double x)
{
    double y = fmax(x * (1 - exponent), -1);
    return exp((fabs(y) > 1e-8 ? log1p(y) / y : 1 - y / 2) * x);
}

static Zipf zipf_make(double exponent, uint64_t count)
{
    return (Zipf){exponent, integral(exponent, 1.5) - 1, integral(exponent, (double)count + 0.5),
                  2 - inverse(exponent, integral(exponent, 2.5) - pow(2, -exponent)), count};
}

static uint64_t zipf_draw(const Zipf *zipf) /* from 0 */
{
    for (;;) {
        double u = zipf->last + random1() * (zipf->first - zipf->last), x = inverse(zipf->exponent, u),
               k = floor(x + 0.5);
        k = fmin(fmax(k, 1), (double)zipf->count);
        if (k - x <= zipf->always || u >= integral(zipf->exponent, k + 0.5) - pow(k, -zipf->exponent))
            return (uint64_t)k - 1;
    }
}

int main(int argc, char **argv)
{
    const char *output = NULL;
    uint64_t size = (uint64_t)1024 << 20, count = 10000000;
    double exponent = 1;
    bool distinct = false, usage = false;
    state_ = 7;
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(option, "--distinct"))
            distinct = true;
        else if (*option != '-' && !output)
            output = option;
        else if (!strcmp(option, "--mib") && i++)
            size = strtoull(value, NULL, 10) << 20;
        else if (!strcmp(option, "--words") && i++)
            count = strtoull(value, NULL, 10);
        else if (!strcmp(option, "--exponent") && i++)
            exponent = strtod(value, NULL);
        else if (!strcmp(option, "--seed") && i++)
            state_ = strtoull(value, NULL, 10);
        else
            usage = true;
    }
    if (!output || usage || !count || count > UINT32_MAX) {
        fprintf(stderr, "usage: zipf OUTPUT [--mib N] [--words N] [--exponent S] [--seed N] [--distinct]\n");
        return 2;
    }
    prepare_words();
    Word *words = distinct ? NULL : malloc(count * sizeof *words);
    uint32_t *order = distinct ? NULL : malloc(count * sizeof *order);
    FILE *file = fopen(output, "wb");
    if (!file || (!distinct && (!words || !order))) {
        perror(output);
        return 1;
    }
    for (uint64_t i = 0; i < count && !distinct; i++)
        words[i] = make_word(i);
    for (uint64_t i = 0; i < count && !distinct; i++) { /* shuffled from the inside out */
        uint64_t j = random64() % (i + 1);
        order[i] = order[j];
        order[j] = (uint32_t)i;
    }
    Zipf zipf = zipf_make(exponent, count);
    uint64_t written = 0, once = 0, total = 0;
    size_t column = 0;
    while (written + LONGEST + 1 <= size) {
        Word word;
        if (distinct)
            word = make_word(UINT64_MAX - 1);
        else if (once < count && (double)once * (double)size <= (double)written * (double)count)
            word = words[order[once++]];
        else
            word = words[zipf_draw(&zipf)];
        column += word.length + 1U;
        word.bytes[word.length] = column > LINE ? '\n' : ' ';
        column = column > LINE ? 0 : column;
        fwrite(word.bytes, 1, word.length + 1U, file);
        written += word.length + 1U;
        total++;
    }
    if (fclose(file)) {
        perror(output);
        return 1;
    }
    printf("%s: %llu bytes, %llu words, %llu different\n", output, (unsigned long long)written,
           (unsigned long long)total, (unsigned long long)(distinct ? total : once));
    return 0;
}
