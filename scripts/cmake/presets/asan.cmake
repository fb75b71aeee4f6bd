# SPDX-License-Identifier: Apache-2.0
# AddressSanitizer and UndefinedBehaviorSanitizer for the unit tests, asserts on; the fuzz targets are libFuzzer's. With
# clang, which has warnings of its own, thread safety first of all.
set(CMAKE_C_COMPILER clang CACHE STRING "")
set(CMAKE_CXX_COMPILER clang++ CACHE STRING "")
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_UNITY_BUILD ON CACHE BOOL "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1" CACHE STRING "")
set(KFLIGHT_SANITIZE "address,undefined" CACHE STRING "")
set(KFLIGHT_FUZZ ON CACHE BOOL "")
# What is fuzzed and what runs simulations is worth optimising; these are most of the time it takes to build.
set(KFLIGHT_UNOPTIMISED "cli;record" CACHE STRING "")
set(KFLIGHT_BENCH OFF CACHE BOOL "")
