# SPDX-License-Identifier: Apache-2.0
# The release's optimisation with the standard library's own checks (iterators, indices, optional) and glibc's.
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_UNITY_BUILD ON CACHE BOOL "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -D_GLIBCXX_ASSERTIONS -D_FORTIFY_SOURCE=2" CACHE STRING "")
set(KFLIGHT_BENCH OFF CACHE BOOL "")
