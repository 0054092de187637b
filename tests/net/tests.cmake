# SPDX-License-Identifier: MIT
# transport/net: one suite on every kind of pipe, then what only TCP has.
ftx_test(net address ftx_net)
ftx_test(net cidr ftx_net)
ftx_test(net work ftx_net)
target_sources(test_work PRIVATE net/loop.c)
ftx_test(net pipes ftx_net)
target_sources(test_pipes PRIVATE net/loop.c net/sockets.c net/relay.c net/pipe_suite.c)
target_compile_definitions(test_pipes PRIVATE FTX_RELAY="$<TARGET_FILE:ftx-relay>")
add_dependencies(test_pipes ftx-relay)
ftx_test(net dial ftx_net)
ftx_test(net listen ftx_net)
foreach(name dial listen)
  target_sources(test_${name} PRIVATE net/loop.c net/sockets.c)
endforeach()
# The test decides what the resolver says, and when, and how fast ten seconds pass.
target_link_options(test_dial PRIVATE -Wl,--wrap=uv_timer_start,--wrap=uv_getaddrinfo)
