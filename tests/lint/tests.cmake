# SPDX-License-Identifier: MIT
# Lints as tests, one entry for each kind of fault.
foreach(check layers text format shell python)
  add_test(NAME lint/${check} COMMAND /usr/bin/python3 -B ${PROJECT_SOURCE_DIR}/tests/lint/check.py ${check})
  set_tests_properties(lint/${check} PROPERTIES SKIP_REGULAR_EXPRESSION "^skipped:")
endforeach()
