# SPDX-License-Identifier: Apache-2.0
# Everyday work: optimised, debuggable, asserts on. The only preset that compiles each file by itself (the others are all
# built at once, which takes half as long): what includes too little shows here.
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g" CACHE STRING "")
