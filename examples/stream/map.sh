#!/bin/sh
# A mapper of `tequio stream`: one word a line. A line without a TAB is a key without a value.
export LC_ALL=C
tr -cs "A-Za-z'" '\n' | tr A-Z a-z | sed '/^$/d'
