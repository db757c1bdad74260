# What tequio is built with. Each that is missing is named together with its Debian package, all in one message.

set(TEQUIO_MISSING "")

function(tequio_need found what package)
  if(NOT ${found})
    set(TEQUIO_MISSING "${TEQUIO_MISSING}\n  ${what} (Debian, Ubuntu: ${package})" PARENT_SCOPE)
  endif()
endfunction()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(MPI COMPONENTS C QUIET)
tequio_need(MPI_C_FOUND "an MPI library for C" "libopenmpi-dev openmpi-bin")

find_package(PkgConfig QUIET)
tequio_need(PKG_CONFIG_FOUND "pkg-config" "pkg-config")
if(PKG_CONFIG_FOUND)
  pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson)
  tequio_need(JANSSON_FOUND "jansson" "libjansson-dev")
  # Regular expressions for the job grep. 10.34 is the first that searches what may not be valid UTF-8.
  pkg_check_modules(PCRE2 QUIET IMPORTED_TARGET libpcre2-8>=10.34)
  tequio_need(PCRE2_FOUND "PCRE2 10.34" "libpcre2-dev")
  # Members of JSON Lines: it hands on numbers as they are written.
  pkg_check_modules(YAJL QUIET IMPORTED_TARGET yajl)
  tequio_need(YAJL_FOUND "yajl" "libyajl-dev")
endif()

# Word boundaries and case folding for the built-in jobs.
find_path(UNISTRING_INCLUDE_DIR uniwbrk.h)
find_library(UNISTRING_LIBRARY unistring)
mark_as_advanced(UNISTRING_INCLUDE_DIR UNISTRING_LIBRARY)
tequio_need(UNISTRING_LIBRARY "libunistring" "libunistring-dev")

# What decodes compressed inputs, and compresses spilled pages. Without one of them tequio says so when it would be used.
# TEQUIO_COMPRESSION: what there is; each is a target PkgConfig::TEQUIO_..., and TEQUIO_..._LDFLAGS links it.
option(TEQUIO_WITH_ZLIB "Read gzip, if zlib is there (Debian, Ubuntu: zlib1g-dev)" ON)
option(TEQUIO_WITH_BZIP2 "Read bzip2, if libbz2 is there (Debian, Ubuntu: libbz2-dev)" ON)
option(TEQUIO_WITH_LZMA "Read xz, if liblzma is there (Debian, Ubuntu: liblzma-dev)" ON)
option(TEQUIO_WITH_LZ4 "Read LZ4, and spill by it, if liblz4 is there (Debian, Ubuntu: liblz4-dev)" ON)
option(TEQUIO_WITH_ZSTD "Read Zstandard, and spill by it, if libzstd is there (Debian, Ubuntu: libzstd-dev)" ON)
set(TEQUIO_COMPRESSION "")
include("${CMAKE_CURRENT_LIST_DIR}/TequioCompression.cmake")
foreach(library ZLIB BZIP2 LZMA LZ4 ZSTD)
  if(TEQUIO_WITH_${library})
    tequio_find_compression(${library})
    if(TARGET PkgConfig::TEQUIO_${library})
      list(APPEND TEQUIO_COMPRESSION ${library})
    endif()
  endif()
endforeach()

# Used as headers alone (XXH_INLINE_ALL): nothing of it is needed at run time.
find_path(XXHASH_INCLUDE_DIR xxhash.h)
mark_as_advanced(XXHASH_INCLUDE_DIR)
tequio_need(XXHASH_INCLUDE_DIR "xxhash.h" "libxxhash-dev")

if(TEQUIO_BUILD_TESTS)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(CMOCKA QUIET IMPORTED_TARGET cmocka)
    tequio_need(CMOCKA_FOUND "cmocka, for the tests (or -DTEQUIO_BUILD_TESTS=OFF)" "libcmocka-dev")
  endif()
  # The system's Python where there is one: the tests use its standard library alone.
  if(NOT Python3_EXECUTABLE AND EXISTS /usr/bin/python3)
    set(Python3_EXECUTABLE /usr/bin/python3)
  endif()
  find_package(Python3 3.9 COMPONENTS Interpreter QUIET)
  tequio_need(Python3_Interpreter_FOUND "Python 3.9, for the tests (or -DTEQUIO_BUILD_TESTS=OFF)" "python3")
endif()

if(TEQUIO_MISSING)
  message(FATAL_ERROR "tequio cannot be built without:${TEQUIO_MISSING}\n"
                      "On Debian and Ubuntu, ./scripts/deps installs all of it.")
endif()
