#!/bin/sh
# A reducer of `tequio stream`: its input is sorted, so uniq can count it.
export LC_ALL=C
uniq -c | awk '{ print $2 "\t" $1 }'
