# SPDX-License-Identifier: Apache-2.0
#
# kf_bpf_skeleton(TARGET name SOURCES a.bpf.c ...): compiles each source with clang, links them with `bpftool gen object`,
# strips the DWARF (BTF stays) and generates <name>.skel.h. Headers are tracked by depfiles, so touching one rebuilds the
# skeleton; every generated file is written beside its place and renamed, so an interrupted build leaves no half file.
find_program(KF_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 REQUIRED)
find_program(KF_LLVM_STRIP NAMES llvm-strip llvm-strip-19 llvm-strip-18 llvm-strip-17 llvm-strip-16 llvm-strip-15 llvm-strip-14 REQUIRED)
find_program(KF_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
  set(KF_BPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(KF_BPF_ARCH arm64)
else()
  message(FATAL_ERROR "no BPF register layout known for ${CMAKE_SYSTEM_PROCESSOR}")
endif()

function(kf_bpf_skeleton)
  cmake_parse_arguments(ARG "" "TARGET;NAME" "SOURCES" ${ARGN})
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/bpf)
  file(MAKE_DIRECTORY ${dir})
  set(objects)
  foreach(source IN LISTS ARG_SOURCES)
    get_filename_component(stem ${source} NAME_WE)
    set(object ${dir}/${stem}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${KF_CLANG} -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_${KF_BPF_ARCH} -Wall -Wextra -Werror
              -Wno-unused-parameter -I${PROJECT_SOURCE_DIR}/include -I${PROJECT_SOURCE_DIR}/bpf
              -I${PROJECT_SOURCE_DIR}/vmlinux -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}.tmp
      COMMAND ${CMAKE_COMMAND} -E rename ${object}.tmp ${object}
      DEPENDS ${source}
      DEPFILE ${object}.d
      COMMENT "BPF ${stem}"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(linked ${dir}/${ARG_NAME}.bpf.o)
  set(skeleton ${dir}/${ARG_NAME}.skel.h)
  add_custom_command(
    OUTPUT ${linked} ${skeleton}
    COMMAND ${KF_BPFTOOL} gen object ${linked}.tmp ${objects}
    COMMAND ${KF_LLVM_STRIP} -g ${linked}.tmp
    COMMAND ${CMAKE_COMMAND} -E rename ${linked}.tmp ${linked}
    COMMAND ${KF_BPFTOOL} gen skeleton ${linked} name ${ARG_NAME} > ${skeleton}.tmp
    COMMAND ${CMAKE_COMMAND} -E rename ${skeleton}.tmp ${skeleton}
    DEPENDS ${objects}
    COMMENT "BPF skeleton ${ARG_NAME}")
  add_custom_target(${ARG_TARGET}_generate DEPENDS ${skeleton})
  set_target_properties(${ARG_TARGET}_generate PROPERTIES KF_BPF_OBJECT ${linked})
  add_library(${ARG_TARGET} INTERFACE)
  add_dependencies(${ARG_TARGET} ${ARG_TARGET}_generate)
  target_include_directories(${ARG_TARGET} SYSTEM INTERFACE ${dir})
endfunction()
