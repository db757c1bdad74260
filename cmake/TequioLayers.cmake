# The layers as object libraries. Arrows point down only: common <- node <- mpi.

# tequio_public_headers(TARGET): the public headers of all layers, in the tree and installed.
function(tequio_public_headers target)
  target_include_directories(
    ${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/common/include>
                     $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/node/include>
                     $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/mpi/include>
                     $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endfunction()

# One layer: the C files of folder, with the public headers of the folders in ARGN, and of no other.
function(tequio_layer target folder definitions)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.c")
  add_library(${target} OBJECT ${sources})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  foreach(visible ${folder} ${ARGN})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/${visible}/include")
  endforeach()
  target_include_directories(${target} SYSTEM PRIVATE "${XXHASH_INCLUDE_DIR}")
  target_compile_definitions(${target} PRIVATE ${definitions})
  target_link_libraries(${target} PRIVATE tequio_flags Threads::Threads)
endfunction()

# tequio_link_compression(TARGET SCOPE): with the libraries that compress, and TEQUIO_HAVE_... for each.
function(tequio_link_compression target scope)
  foreach(library ${TEQUIO_COMPRESSION})
    target_link_libraries(${target} ${scope} PkgConfig::TEQUIO_${library})
    target_compile_definitions(${target} PRIVATE TEQUIO_HAVE_${library}=1)
  endforeach()
endfunction()

# tequio_layers(SUFFIX DEFINITIONS): all three, as tequio_common<SUFFIX> and so on.
function(tequio_layers suffix definitions)
  tequio_layer(tequio_common${suffix} common "${definitions}")
  tequio_layer(tequio_node${suffix} node "${definitions}" common)
  tequio_link_compression(tequio_node${suffix} PRIVATE)
  tequio_layer(tequio_mpi${suffix} mpi "${definitions}" node common)
  target_link_libraries(tequio_mpi${suffix} PRIVATE MPI::MPI_C)
endfunction()
