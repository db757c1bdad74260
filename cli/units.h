/* Numbers as people read them. Each function writes into text (size bytes; 32 are enough) and returns it.
 * Any thread; no state. */
#ifndef CLI_UNITS_H
#define CLI_UNITS_H

#include <stddef.h>
#include <stdint.h>

const char *cli_bytes(uint64_t bytes, char *text, size_t size);                   /* "1.2 GiB" */
const char *cli_bytes_of(uint64_t done, uint64_t total, char *text, size_t size); /* "0.2/1.9 GiB" */
const char *cli_count(uint64_t count, char *text, size_t size);                   /* "999", "12.3k", "4.56M" */
const char *cli_rate(double bytes_per_s, char *text, size_t size);                /* "310 MiB/s" */
const char *cli_count_rate(double per_s, char *text, size_t size);                /* "12.3k/s" */
const char *cli_elapsed(double seconds, char *text, size_t size); /* "0.42 s", "6.1 s", "2:05", "1:02:03" */
const char *cli_clock(double seconds, char *text, size_t size);   /* "0:06", "2:05", "1:02:03" */

#endif
