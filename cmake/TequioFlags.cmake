# The flags everything of ours is compiled with, as a target that is linked PRIVATE: nothing of it reaches users.

add_library(tequio_flags INTERFACE)
# -std=c17 by hand: CMAKE_C_STANDARD knows 17 since CMake 3.21 only.
target_compile_options(tequio_flags INTERFACE -std=c17 -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                              -fno-semantic-interposition)
target_compile_definitions(tequio_flags INTERFACE _GNU_SOURCE TEQUIO_VERSION="${PROJECT_VERSION}")
if(TEQUIO_WERROR)
  target_compile_options(tequio_flags INTERFACE -Werror)
endif()

if(TEQUIO_SANITIZE STREQUAL "thread")
  set(TEQUIO_SANITIZE_FLAGS -fsanitize=thread -fno-omit-frame-pointer)
elseif(TEQUIO_SANITIZE STREQUAL "address")
  set(TEQUIO_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(TEQUIO_SANITIZE)
  message(FATAL_ERROR "TEQUIO_SANITIZE is '${TEQUIO_SANITIZE}': thread, address or nothing is meant")
else()
  set(TEQUIO_SANITIZE_FLAGS "")
endif()
target_compile_options(tequio_flags INTERFACE ${TEQUIO_SANITIZE_FLAGS})
target_link_options(tequio_flags INTERFACE ${TEQUIO_SANITIZE_FLAGS})

# Only what a header marks TQ_API leaves the shared library.
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
