/* The six ASCII white-space bytes: space, \t \n \v \f \r. (64 bytes at a time: node/cutter.c.) Any thread. */
#ifndef TQI_DELIMITERS_H
#define TQI_DELIMITERS_H

#include <stdbool.h>

static inline bool tqi_is_space(char byte)
{
    return byte == ' ' || (unsigned char)(byte - '\t') <= '\r' - '\t';
}

#endif
