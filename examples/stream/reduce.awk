# A reducer of `tequio stream`: adds up the values of each key. The "" makes keys text: to awk 1e1 and 10 are equal.
BEGIN { FS = "\t" }
NR > 1 && $1 "" != key "" { print key "\t" sum; sum = 0 }
{ key = $1; sum += $2 }
END { if (NR > 0) print key "\t" sum }
