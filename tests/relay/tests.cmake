# SPDX-License-Identifier: MIT
# The room table and what is parsed as units; the server itself from outside (pytest).
ftx_test(relay rooms ftx_relay)
target_link_options(test_rooms PRIVATE -Wl,--wrap=calloc)
ftx_test(relay request ftx_relay)
foreach(name server abuse mask fleet)
  add_test(NAME relay/${name} COMMAND /usr/bin/python3 -B -m pytest -p no:cacheprovider -q -rs --durations=5
           ${CMAKE_CURRENT_SOURCE_DIR}/relay/test_${name}.py)
  set_tests_properties(relay/${name} PROPERTIES TIMEOUT 300 ENVIRONMENT "${mount_environment}")
endforeach()
