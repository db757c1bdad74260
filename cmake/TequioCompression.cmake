# tequio_find_compression(LIBRARY): a library that compresses, as PkgConfig::TEQUIO_LIBRARY if it is there. Installed too, for
# those who link the static library.
macro(tequio_find_compression library)
  set(tequio_module_ZLIB zlib)
  set(tequio_module_LZMA liblzma)
  set(tequio_module_LZ4 liblz4)
  set(tequio_module_ZSTD libzstd)
  find_package(PkgConfig QUIET)
  if("${library}" STREQUAL "BZIP2") # pkg-config does not know it everywhere
    find_package(BZip2 QUIET)
    if(BZIP2_FOUND AND NOT TARGET PkgConfig::TEQUIO_BZIP2)
      add_library(PkgConfig::TEQUIO_BZIP2 INTERFACE IMPORTED)
      set_target_properties(PkgConfig::TEQUIO_BZIP2 PROPERTIES INTERFACE_LINK_LIBRARIES BZip2::BZip2)
      set(TEQUIO_BZIP2_LDFLAGS -lbz2)
    endif()
  elseif(PKG_CONFIG_FOUND AND NOT TARGET PkgConfig::TEQUIO_${library})
    pkg_check_modules(TEQUIO_${library} QUIET IMPORTED_TARGET ${tequio_module_${library}})
  endif()
endmacro()
