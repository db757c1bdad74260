# A mapper of `tequio stream`: counts the words of its part of the input, so that it writes each of them once.
{
    gsub(/[^A-Za-z']+/, " ")
    $0 = tolower($0)
    for (i = 1; i <= NF; i++)
        count[$i]++
}
END {
    for (word in count)
        print word "\t" count[word]
}
