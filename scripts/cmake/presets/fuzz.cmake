# SPDX-License-Identifier: Apache-2.0
# The fuzz targets without sanitizers, but with the standard library's own checks: some times as many executions a second.
set(CMAKE_C_COMPILER clang CACHE STRING "")
set(CMAKE_CXX_COMPILER clang++ CACHE STRING "")
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_UNITY_BUILD ON CACHE BOOL "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -D_GLIBCXX_ASSERTIONS -D_FORTIFY_SOURCE=2" CACHE STRING "")
set(KFLIGHT_FUZZ ON CACHE BOOL "")
set(KFLIGHT_BENCH OFF CACHE BOOL "")
