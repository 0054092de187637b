# SPDX-License-Identifier: MIT
# Hooks, with a feed and real programs, without a mount.
ftx_test(hooks hooks ftx_hooks ftx_store ftx_session)
