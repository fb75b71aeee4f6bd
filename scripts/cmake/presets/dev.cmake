# SPDX-License-Identifier: Apache-2.0
# Everyday work: optimised, debuggable, asserts on.
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g" CACHE STRING "")
