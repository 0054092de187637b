# SPDX-License-Identifier: MIT
# What tests/bench/run measures with: the emulated link and its test, the floor, the data.
ftx_test(bench link)
target_sources(test_link PRIVATE ${CMAKE_CURRENT_LIST_DIR}/tools/link.c)

# ftx_bench_tool(name libraries...): one program of tests/bench/tools, optimized and without sanitizers whatever the build.
function(ftx_bench_tool name)
  add_executable(bench_${name} ${CMAKE_CURRENT_SOURCE_DIR}/bench/tools/${name}.c)
  target_compile_options(bench_${name} PRIVATE -O2 -fno-sanitize=all)
  target_link_options(bench_${name} PRIVATE -fno-sanitize=all)
  target_link_libraries(bench_${name} PRIVATE ${ARGN})
  set_target_properties(bench_${name} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/bench)
  add_dependencies(bench_tools bench_${name})
endfunction()

add_custom_target(bench_tools ALL)
ftx_bench_tool(data)
ftx_bench_tool(emulator Threads::Threads)
target_sources(bench_emulator PRIVATE ${CMAKE_CURRENT_LIST_DIR}/tools/link.c)
ftx_bench_tool(empty_fs PkgConfig::FUSE)
ftx_bench_tool(floor PkgConfig::CRYPTO)
ftx_bench_tool(probe)

add_test(NAME bench/parts COMMAND /usr/bin/python3 -B ${CMAKE_CURRENT_LIST_DIR}/test_parts.py)
set_tests_properties(bench/parts PROPERTIES ENVIRONMENT "TOOLS=${CMAKE_CURRENT_BINARY_DIR}/bench")
