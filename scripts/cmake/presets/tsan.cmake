# SPDX-License-Identifier: Apache-2.0
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(KFLIGHT_SANITIZE "thread" CACHE STRING "")
