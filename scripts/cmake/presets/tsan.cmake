# SPDX-License-Identifier: Apache-2.0
# ThreadSanitizer for the unit tests of what has threads, asserts on.
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_UNITY_BUILD ON CACHE BOOL "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1" CACHE STRING "")
set(KFLIGHT_SANITIZE "thread" CACHE STRING "")
set(KFLIGHT_UNIT_TESTS "base;record" CACHE STRING "")
# What only reads dumps has no threads to look at.
set(KFLIGHT_UNOPTIMISED "model;analyze;export;cli" CACHE STRING "")
set(KFLIGHT_BENCH OFF CACHE BOOL "")

# g++ 12's runtime cannot map its shadow memory when the kernel randomizes more bits than this.
file(READ /proc/sys/vm/mmap_rnd_bits rnd_bits)
if(rnd_bits GREATER 28)
  set(CMAKE_CROSSCOMPILING_EMULATOR "setarch;-R" CACHE STRING "")
endif()
