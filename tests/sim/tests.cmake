# SPDX-License-Identifier: MIT
# The seeded simulator of sessions, and the engine's rules one by one. FTX_SIM_SEEDS=N runs that many seeds; test_session --seed N one.
ftx_test(sim session ftx_session)
target_sources(test_session PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/inbox.c ${CMAKE_CURRENT_LIST_DIR}/inbox_calls.c
  ${CMAKE_CURRENT_LIST_DIR}/model.c ${CMAKE_CURRENT_LIST_DIR}/network.c
  ${CMAKE_CURRENT_LIST_DIR}/outbox.c ${CMAKE_CURRENT_LIST_DIR}/outbox_calls.c
  ${CMAKE_CURRENT_LIST_DIR}/simulate.c ${CMAKE_CURRENT_LIST_DIR}/user.c)
if(FTX_SANITIZE)
  set_tests_properties(sim/session PROPERTIES ENVIRONMENT FTX_SIM_SEEDS=200)
endif()

ftx_test(sim engine ftx_session)
target_sources(test_engine PRIVATE ${CMAKE_CURRENT_LIST_DIR}/bare.c)
