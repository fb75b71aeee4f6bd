# SPDX-License-Identifier: Apache-2.0
# Compile flags all of our targets share, as one interface target.
add_library(kf_compile INTERFACE)
target_compile_options(kf_compile INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 sees overlapping copies inside std::string's operator+ that are none (GCC bug 105651)
  target_compile_options(kf_compile INTERFACE -Wno-restrict)
endif()
if(KFLIGHT_WERROR)
  target_compile_options(kf_compile INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(kf_compile INTERFACE -Wthread-safety)
endif()
if(KFLIGHT_SANITIZE)
  target_compile_options(kf_compile INTERFACE -fsanitize=${KFLIGHT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(kf_compile INTERFACE -fsanitize=${KFLIGHT_SANITIZE})
endif()
if(KFLIGHT_SANITIZE MATCHES undefined)
  # looks at memory through a pipe, which tests of seccomp filters and of descriptors that have run out do not have
  target_compile_options(kf_compile INTERFACE -fno-sanitize=vptr)
endif()
if(KFLIGHT_FUZZ)
  # coverage, which leads the mutations; that of libraries' templates would only slow them down
  target_compile_options(kf_compile INTERFACE -fsanitize=fuzzer-no-link
    -fsanitize-coverage-ignorelist=${PROJECT_SOURCE_DIR}/tests/fuzz/no_coverage.txt)
endif()
target_include_directories(kf_compile INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/userspace)
target_compile_definitions(kf_compile INTERFACE KFLIGHT_VERSION="${PROJECT_VERSION}")
