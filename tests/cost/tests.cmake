# SPDX-License-Identifier: MIT
# Instructions of fixed workloads beside those that tests/cost/counts allows. They are those of one compiler, without
# sanitizers; where they cannot be counted, tests/cost/run says so and the test is skipped.
include(CheckIncludeFile)
check_include_file(valgrind/callgrind.h FTX_HAVE_CALLGRIND)

if(FTX_HAVE_CALLGRIND AND CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_BUILD_TYPE STREQUAL RelWithDebInfo AND NOT FTX_SANITIZE
   AND NOT FTX_FUZZ)
  file(GLOB cost_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
  add_executable(cost ${cost_sources} crypto/two_ends.c wire/samples.c)
  target_link_libraries(cost PRIVATE ftx_fuse ftx_xfer PkgConfig::CMOCKA)
  # What leads outside of the program: tests/cost/world.c.
  target_link_options(cost PRIVATE -Wl,--wrap=clock_gettime -Wl,--wrap=pthread_create -Wl,--wrap=pthread_join
    -Wl,--wrap=pthread_cond_wait -Wl,--wrap=pthread_cond_timedwait)
  foreach(workload large pieces small folder messages pairing)
    add_test(NAME cost/${workload} COMMAND /usr/bin/python3 -B ${CMAKE_CURRENT_LIST_DIR}/run --program $<TARGET_FILE:cost> ${workload})
    set_tests_properties(cost/${workload} PROPERTIES SKIP_REGULAR_EXPRESSION "^skipped:" TIMEOUT 300)
  endforeach()
endif()
