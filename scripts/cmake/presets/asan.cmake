# SPDX-License-Identifier: Apache-2.0
# AddressSanitizer and UndefinedBehaviorSanitizer for the unit tests, asserts on.
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1" CACHE STRING "")
set(KFLIGHT_SANITIZE "address,undefined" CACHE STRING "")
set(KFLIGHT_BENCH OFF CACHE BOOL "")
