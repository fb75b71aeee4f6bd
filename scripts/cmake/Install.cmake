# SPDX-License-Identifier: Apache-2.0
#
# find_package(kflight) for other projects: kflight::kflight is one static archive of base, dump and record beside the
# public headers. The component "development" holds it, so that it installs without the program.
include(CMakePackageConfigHelpers)

if(NOT TARGET kf_record)
  return()
endif()
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kflight)
add_library(kflight_library STATIC $<TARGET_OBJECTS:kf_base> $<TARGET_OBJECTS:kf_dump> $<TARGET_OBJECTS:kf_record>)
set_target_properties(kflight_library PROPERTIES OUTPUT_NAME kflight EXPORT_NAME kflight LINKER_LANGUAGE CXX)
target_compile_features(kflight_library INTERFACE cxx_std_20)
target_include_directories(kflight_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(kflight_library INTERFACE
  fmt::fmt Threads::Threads PkgConfig::LIBBPF PkgConfig::LIBELF PkgConfig::SECCOMP PkgConfig::ZSTD PkgConfig::XXHASH)

install(TARGETS kflight_library EXPORT kflight ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/kflight DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT kflight NAMESPACE kflight:: FILE kflightTargets.cmake DESTINATION ${config_dir} COMPONENT development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/kflightConfig.cmake.in
  ${PROJECT_BINARY_DIR}/kflightConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kflightConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kflightConfig.cmake ${PROJECT_BINARY_DIR}/kflightConfigVersion.cmake
  DESTINATION ${config_dir} COMPONENT development)

# Beside the program, where systemd looks for units of this prefix.
set(KFLIGHT_UNIT_DIR lib/systemd/system CACHE STRING "Where the systemd unit is installed, under the prefix")
configure_file(${PROJECT_SOURCE_DIR}/scripts/systemd/kflight@.service.in ${PROJECT_BINARY_DIR}/kflight@.service @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/kflight@.service DESTINATION ${KFLIGHT_UNIT_DIR})
