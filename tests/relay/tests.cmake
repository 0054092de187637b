# SPDX-License-Identifier: MIT
# The room table and what is parsed as units; the server itself from outside (pytest).
ftx_test(relay rooms ftx_relay)
ftx_test(relay request ftx_relay)
