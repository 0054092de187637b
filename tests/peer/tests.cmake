# SPDX-License-Identifier: MIT
# transport/peer: two nodes in one loop, with proxies between them; timers run faster than the clock (end.c).
foreach(name pairing sessions strangers paths lan relayed allocations)
  ftx_test(peer ${name} ftx_peer)
  target_sources(test_${name} PRIVATE peer/end.c peer/app.c peer/proxy.c net/loop.c net/sockets.c)
  target_link_options(test_${name} PRIVATE -Wl,--wrap=uv_timer_start,--wrap=uv_now)
endforeach()
target_link_options(test_allocations PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)

target_sources(test_relayed PRIVATE net/relay.c)
target_compile_definitions(test_relayed PRIVATE FTX_RELAY="$<TARGET_FILE:ftx-relay>")
add_dependencies(test_relayed ftx-relay)

ftx_test(peer pace ftx_peer)
ftx_test(peer ways ftx_peer)
target_link_options(test_paths PRIVATE -Wl,--wrap=ftx_ip_is_near)
ftx_test(peer quality ftx_peer)
