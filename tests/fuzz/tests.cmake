# SPDX-License-Identifier: MIT
# Each tests/fuzz/fuzz_NAME.c is replayed on its corpus and on mutations of it; with FTX_FUZZ it is a libFuzzer program too.
set(fuzz_libraries_address ftx_net)
set(fuzz_libraries_announce ftx_session)
set(fuzz_libraries_change ftx_store)
set(fuzz_libraries_cidr ftx_net)
set(fuzz_libraries_codec ftx_session)
set(fuzz_libraries_frame ftx_net)
set(fuzz_libraries_handshake ftx_session)
set(fuzz_libraries_http ftx_net)
set(fuzz_libraries_journal ftx_store)
set(fuzz_libraries_messages ftx_session)
set(fuzz_libraries_names ftx_store)
set(fuzz_libraries_ops ftx_store ftx_session)
set(fuzz_libraries_record ftx_session)
set(fuzz_libraries_relay ftx_relay)
set(fuzz_libraries_tailnet ftx_net)
set(fuzz_mutations_handshake 20000) # each costs group operations
set(fuzz_mutations_journal 2000)   # each opens files

if(FTX_FUZZ AND NOT CMAKE_C_COMPILER_ID MATCHES Clang)
  message(FATAL_ERROR "FTX_FUZZ needs clang: cmake -DCMAKE_C_COMPILER=clang")
endif()

file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz_*.c)
foreach(source ${fuzz_sources})
  get_filename_component(name ${source} NAME_WE)
  string(REPLACE fuzz_ "" name ${name})
  if(NOT DEFINED fuzz_libraries_${name})
    set(fuzz_libraries_${name} ftx_xfer)
  endif()
  if(NOT DEFINED fuzz_mutations_${name})
    set(fuzz_mutations_${name} 50000)
  endif()

  add_executable(replay_${name} ${source} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/replay.c)
  target_link_libraries(replay_${name} PRIVATE ${fuzz_libraries_${name}})
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
  set(scratch ${CMAKE_CURRENT_BINARY_DIR}/fuzz/${name})
  file(MAKE_DIRECTORY ${scratch})
  if(NOT EXISTS ${corpus})
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/any)
  endif()
  add_test(NAME fuzz/${name} COMMAND replay_${name} --mutate ${fuzz_mutations_${name}} ${corpus} WORKING_DIRECTORY ${scratch})
  # A sanitizer's finding ends in a signal, so that the input is kept.
  set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT 300
    ENVIRONMENT "ASAN_OPTIONS=abort_on_error=1:allocator_may_return_null=1;UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1")

  if(FTX_FUZZ)
    add_executable(fuzz_${name} ${source})
    target_link_libraries(fuzz_${name} PRIVATE ${fuzz_libraries_${name}})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  endif()
endforeach()
