# SPDX-License-Identifier: MIT
# The seeded simulator of sessions, and the engine's rules one by one. FTX_SIM_SEEDS=N runs that many seeds; test_session --seed N one.
ftx_test(sim session ftx_session)
target_sources(test_session PRIVATE ${CMAKE_CURRENT_LIST_DIR}/fetches.c
  ${CMAKE_CURRENT_LIST_DIR}/inbox.c ${CMAKE_CURRENT_LIST_DIR}/inbox_calls.c
  ${CMAKE_CURRENT_LIST_DIR}/model.c ${CMAKE_CURRENT_LIST_DIR}/network.c
  ${CMAKE_CURRENT_LIST_DIR}/outbox.c ${CMAKE_CURRENT_LIST_DIR}/outbox_calls.c
  ${CMAKE_CURRENT_LIST_DIR}/simulate.c ${CMAKE_CURRENT_LIST_DIR}/user.c)
if(FTX_SANITIZE)
  set_tests_properties(sim/session PROPERTIES ENVIRONMENT FTX_SIM_SEEDS=200)
endif()

ftx_test(sim engine ftx_session)
target_sources(test_engine PRIVATE ${CMAKE_CURRENT_LIST_DIR}/bare.c)
ftx_test(sim fetch ftx_session)
target_sources(test_fetch PRIVATE ${CMAKE_CURRENT_LIST_DIR}/bare.c)
ftx_test(sim digest ftx_session)
target_sources(test_digest PRIVATE ${CMAKE_CURRENT_LIST_DIR}/bare.c)

# The same network with real stores at both ends; what time, chance and the disk do is wrapped.
ftx_test(sim store ftx_xfer)
target_sources(test_store PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/model.c ${CMAKE_CURRENT_LIST_DIR}/network.c ${CMAKE_CURRENT_LIST_DIR}/store_check.c ${CMAKE_CURRENT_LIST_DIR}/store_release.c
  ${CMAKE_CURRENT_LIST_DIR}/store_end.c ${CMAKE_CURRENT_LIST_DIR}/store_user.c)
target_link_options(test_store PRIVATE
  -Wl,--wrap=ftx_object_write -Wl,--wrap=ftx_object_punch -Wl,--wrap=ftx_object_remove -Wl,--wrap=ftruncate64 -Wl,--wrap=ftx_database_commit
  -Wl,--wrap=ftx_journal_release -Wl,--wrap=ftx_now_ms -Wl,--wrap=ftx_now_ns -Wl,--wrap=ftx_random_id
  -Wl,--wrap=pthread_cond_timedwait -Wl,--wrap=pthread_cond_wait
  -Wl,--wrap=ftx_engine_refuse -Wl,--wrap=ftx_spool_shortage)
if(FTX_SANITIZE)
  set_tests_properties(sim/store PROPERTIES ENVIRONMENT FTX_SIM_SEEDS=25)
endif()
