# What the scripts of this folder share. Sourced, with the current folder at the top of the tree.
# shellcheck shell=sh

say() {
    printf '%s\n' "$*" >&2
}

# quietly LOG COMMAND...: run it, and show what it said only if it fails.
quietly() {
    log=$1
    shift
    if "$@" >"$log" 2>&1 </dev/null; then
        return 0
    fi
    tail -n 60 "$log" >&2
    say "failed: $*    (all of its output is in $log)"
    return 1
}

cores() {
    nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
}

# configure FOLDER OPTIONS...: cmake, where anything has changed. The generator is chosen once.
configure() {
    folder=$1
    shift
    mkdir -p "$folder"
    if [ "$*" = "$(cat "$folder/options.txt" 2>/dev/null)" ] && [ -f "$folder/CMakeCache.txt" ]; then
        return 0
    fi
    if [ ! -f "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then
        set -- -G Ninja "$@"
    fi
    quietly "$folder/configure.log" cmake -S . -B "$folder" "$@" || return 1
    [ "$1" != -G ] || shift 2
    printf '%s\n' "$*" >"$folder/options.txt"
}

# build FOLDER TARGET...: with all cores.
build() {
    folder=$1
    shift
    quietly "$folder/build.log" cmake --build "$folder" --parallel "$(cores)" ${1:+--target "$@"}
}
