/* Headers: the first line of each file names the columns of the others, is no record, and is the same in all files,
 * or that of each file alone (own_headers): then whoever opens a file reads it. Otherwise, where ranks read for themselves, rank 0 reads that of the first file and sends it with the table of inputs; whoever
 * opens a file looks whether it begins with it. Where rank 0 reads for everybody it compares the files itself. Any
 * thread, on data of its own. */
#ifndef TQI_HEADER_H
#define TQI_HEADER_H

#include "node/archive.h"
#include <tequio/columns.h>

enum { TQI_HEADER_MOST = 1 << 20 }; /* bytes of one */

/* Set inputs->heading to that of the first file that has one; none has if all are empty. options say how files are read;
 * what is said there of headers is not looked at. TQ_E_INPUT, TQ_E_MEMORY. */
tq_status tqi_header_read(tqi_inputs *inputs, const tqi_archive_options *options, tq_error *error);

/* Whether the open file, which is not decoded, begins with inputs->heading, and in *bytes how long it is there with its end.
 * TQ_E_INPUT. */
tq_status tqi_header_check(const tqi_inputs *inputs, const tqi_file *file, int fd, size_t *bytes, tq_error *error);

/* The header of an open file which has one of its own: *line (malloc), *size of it without its end, and *bytes with that.
 * TQ_E_INPUT, TQ_E_MEMORY. */
tq_status tqi_header_own(const tqi_inputs *inputs, const tqi_file *file, int fd, char **line, size_t *size,
                         size_t *bytes, tq_error *error);

/* line, without its end, is the first of file number file: it must be the header, or becomes it. TQ_E_INPUT, TQ_E_MEMORY. */
tq_status tqi_header_meet(const tqi_headed *headed, size_t file, tq_slice line, tq_error *error);

/* "the first line is no header: it has more than ..." */
tq_status tqi_header_too_long(const tqi_inputs *inputs, size_t file, tq_error *error);

#endif
