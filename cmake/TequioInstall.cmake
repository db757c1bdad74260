# cmake --install: headers, the library (shared and static), the command, find_package(tequio), pkg-config, examples (of
# programs, a plug-in, a hostfile).
include(CMakePackageConfigHelpers)

set(TEQUIO_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/tequio")

foreach(layer common node mpi)
  install(DIRECTORY "${layer}/include/tequio" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
endforeach()
install(TARGETS tequio_jobs LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS tequio_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")

# The static library needs MPI to be linked, the shared one does not: so each has a file of targets of its own.
set_target_properties(tequio_static PROPERTIES EXPORT_NAME static)
install(TARGETS tequio EXPORT tequio-targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS tequio_static EXPORT tequio-static-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
foreach(set tequio-targets tequio-static-targets)
  install(EXPORT ${set} NAMESPACE tequio:: DESTINATION "${TEQUIO_CMAKE_DIR}")
endforeach()
configure_package_config_file(cmake/tequio-config.cmake.in "${PROJECT_BINARY_DIR}/tequio-config.cmake"
                              INSTALL_DESTINATION "${TEQUIO_CMAKE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/tequio-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/tequio-config.cmake" "${PROJECT_BINARY_DIR}/tequio-config-version.cmake"
              cmake/TequioCompression.cmake
        DESTINATION "${TEQUIO_CMAKE_DIR}")

set(TEQUIO_PRIVATE_LIBS "")
foreach(library ${TEQUIO_COMPRESSION})
  string(APPEND TEQUIO_PRIVATE_LIBS "${TEQUIO_${library}_LDFLAGS} ")
endforeach()
string(REPLACE ";" " " TEQUIO_PRIVATE_LIBS "${TEQUIO_PRIVATE_LIBS}-pthread -lm -lrt")
configure_file(cmake/tequio.pc.in "${PROJECT_BINARY_DIR}/tequio.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/tequio.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES hostfiles/localhost DESTINATION "${CMAKE_INSTALL_DOCDIR}/hostfiles")
install(DIRECTORY examples/ DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples"
        FILES_MATCHING PATTERN "*.c" PATTERN "stream" EXCLUDE)
install(DIRECTORY examples/stream DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples" USE_SOURCE_PERMISSIONS)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
