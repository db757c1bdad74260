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
endif()

# Word boundaries and case folding for the built-in jobs.
find_path(UNISTRING_INCLUDE_DIR uniwbrk.h)
find_library(UNISTRING_LIBRARY unistring)
mark_as_advanced(UNISTRING_INCLUDE_DIR UNISTRING_LIBRARY)
tequio_need(UNISTRING_LIBRARY "libunistring" "libunistring-dev")

# What compresses spilled pages. Without one of them tequio says so when it is asked to use it. TEQUIO_COMPRESSION: what
# there is, as names of pkg-config.
option(TEQUIO_WITH_LZ4 "Compress spilled pages by LZ4, if liblz4 is there (Debian, Ubuntu: liblz4-dev)" ON)
option(TEQUIO_WITH_ZSTD "Compress spilled pages by Zstandard, if libzstd is there (Debian, Ubuntu: libzstd-dev)" ON)
set(TEQUIO_COMPRESSION "")
foreach(library LZ4 ZSTD)
  string(TOLOWER "lib${library}" module)
  if(PKG_CONFIG_FOUND AND TEQUIO_WITH_${library})
    pkg_check_modules(TEQUIO_${library} QUIET IMPORTED_TARGET ${module})
    if(TEQUIO_${library}_FOUND)
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
