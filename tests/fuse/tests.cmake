# SPDX-License-Identifier: MIT
# The threads that serve a mount, with a kernel that the test plays.
if(TARGET ftx_fuse)
  ftx_test(fuse serve ftx_fuse)
endif()
