# SPDX-License-Identifier: Apache-2.0
set(CMAKE_BUILD_TYPE Release CACHE STRING "")
set(KFLIGHT_SANITIZE "" CACHE STRING "")
