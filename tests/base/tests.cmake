# SPDX-License-Identifier: MIT
# What stands below everything else.
ftx_test(base words ftx_base)
ftx_test(base escape ftx_base)
