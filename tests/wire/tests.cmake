# SPDX-License-Identifier: MIT
# Messages against their vectors, plans and the scheduler; the second decoder reads the same vectors.
ftx_test(wire messages ftx_crypto)
ftx_test(wire vectors ftx_session)
ftx_test(wire announce ftx_session)
ftx_test(wire codec ftx_session)
ftx_test(wire compress ftx_session)
ftx_test(wire plan ftx_session)
ftx_test(wire scheduler ftx_session)
target_link_options(test_plan PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
target_sources(test_messages PRIVATE wire/samples.c)
target_sources(test_vectors PRIVATE wire/samples.c wire/golden.c)
target_sources(test_announce PRIVATE wire/golden.c)
add_test(NAME wire/decode COMMAND /usr/bin/python3 -B ${PROJECT_SOURCE_DIR}/tests/vectors/decode.py)
