# SPDX-License-Identifier: MIT
# The command ftx: its parsers.
ftx_test(cli value ftx_command)
ftx_test(cli ignore ftx_command)
