# SPDX-License-Identifier: MIT
# The command ftx and the configuration file of ftxfs: their parsers, then the whole of ftx on real mounts, in pipes and in a terminal.
ftx_test(cli value ftx_command)
ftx_test(cli ignore ftx_command)
ftx_test(cli config ftxfs_options)

function(ftx_command_test name)
  add_test(NAME cli/${name} COMMAND /usr/bin/python3 -B -m pytest -p no:cacheprovider -q -rs --durations=5
           ${PROJECT_SOURCE_DIR}/tests/cli/test_${name}.py WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(cli/${name} PROPERTIES TIMEOUT 300 ENVIRONMENT "${mount_environment};FTX_COMMAND=$<TARGET_FILE:ftx>;FTX_RELAY=$<TARGET_FILE:ftx-relay>" ${ARGN})
endfunction()

if(TARGET ftxfs)
  ftx_command_test(ftx)
  ftx_command_test(usage)
  ftx_command_test(readme)
  ftx_command_test(terminal)
  ftx_command_test(steer)
  ftx_command_test(take)
  ftx_command_test(shells)
  ftx_command_test(alone)
  ftx_command_test(send)
endif()
