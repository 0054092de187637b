# SPDX-License-Identifier: MIT
# Tests on real mounts: one entry per file of tests/fs. python3 is Debian's own, which has pytest.
if(FTX_SANITIZE)
  set(fs_environment FTX_TEST_SLOW=4 FTX_TEST_SCALE=0.125)
else()
  set(fs_environment FTX_TEST_SLOW=1 FTX_TEST_SCALE=1)
endif()
list(APPEND fs_environment FTX_VECTORS=${PROJECT_SOURCE_DIR}/tests/vectors)
if(TARGET ftxfs)
  list(APPEND fs_environment FTX_BIN=$<TARGET_FILE:ftxfs>)
endif()

# What a program expects of a folder, case by case; knows nothing of ftxfs.
file(GLOB posix_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/posix/*.c)
add_executable(posix_matrix ${posix_sources})
target_compile_options(posix_matrix PRIVATE -fno-sanitize=all) # it passes bad addresses on purpose
target_link_options(posix_matrix PRIVATE -fno-sanitize=all)
add_executable(fsx ${CMAKE_CURRENT_LIST_DIR}/fsx.c)
list(APPEND fs_environment FTX_POSIX_MATRIX=$<TARGET_FILE:posix_matrix> FTX_FSX=$<TARGET_FILE:fsx>)

# ftx_mount_test(name properties...)
function(ftx_mount_test name)
  add_test(NAME fs/${name} COMMAND /usr/bin/python3 -B -m pytest -p no:cacheprovider -q -rs --durations=5
           ${PROJECT_SOURCE_DIR}/tests/fs/test_${name}.py WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(fs/${name} PROPERTIES TIMEOUT 900 ENVIRONMENT "${fs_environment}" ${ARGN})
endfunction()

ftx_mount_test(harness)
if(TARGET ftxfs)
  ftx_mount_test(cli)
  ftx_mount_test(pairing COST 150)
  ftx_mount_test(outbox)
  ftx_mount_test(posix)
  ftx_mount_test(fsx RESOURCE_LOCK disk)
  ftx_mount_test(status)
  ftx_mount_test(watch)
  ftx_mount_test(bad_input)
  ftx_mount_test(xattr)
  ftx_mount_test(local)
  ftx_mount_test(scale COST 60)
  ftx_mount_test(user)
  ftx_mount_test(mount_helper)
  ftx_mount_test(never_hangs COST 100)
  # These move gigabytes: one at a time.
  ftx_mount_test(transfer RESOURCE_LOCK disk COST 200)
  ftx_mount_test(inbox RESOURCE_LOCK disk COST 100)
  ftx_mount_test(resume RESOURCE_LOCK disk COST 300)
  ftx_mount_test(programs RESOURCE_LOCK disk COST 250)
endif()
