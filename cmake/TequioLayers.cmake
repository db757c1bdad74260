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
  tequio_layer_of(${target} "${sources}" ${folder} "${definitions}" ${ARGN})
endfunction()

# The same of some of its files.
function(tequio_layer_of target sources folder definitions)
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

# tequio_layer_changed(TARGET LAYER PATTERN DEFINITIONS OBJECTS VISIBLE...): a layer with other definitions. Only its files in
# which PATTERN stands are compiled again, as TARGET; the variable OBJECTS is set to the objects of all.
function(tequio_layer_changed target folder pattern definitions objects)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.c")
  set(changed "")
  set(names "")
  foreach(source ${sources})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(STRINGS ${source} found REGEX "${pattern}")
    if(found)
      get_filename_component(name ${source} NAME_WE)
      list(APPEND changed ${source})
      list(APPEND names ${name})
    endif()
  endforeach()
  string(REPLACE ";" "|" names "${names}")
  tequio_layer_of(${target} "${changed}" ${folder} "${definitions}" ${ARGN})
  set(${objects} $<TARGET_OBJECTS:${target}>
                 "$<FILTER:$<TARGET_OBJECTS:tequio_${folder}>,EXCLUDE,/(${names})\\.c\\.>" PARENT_SCOPE)
endfunction()
