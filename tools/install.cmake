# SPDX-License-Identifier: MIT
# What comes with the programs: man pages (scdoc), completions, units, documents; and the .deb.
include(GNUInstallDirs)

find_program(SCDOC scdoc)
if(SCDOC)
  file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.scd)
  foreach(source ${pages})
    get_filename_component(page ${source} NAME)
    string(REGEX REPLACE "\\.scd$" "" page ${page})
    string(REGEX REPLACE "^.*\\." "" section ${page})
    set(made ${PROJECT_BINARY_DIR}/man/${page})
    add_custom_command(OUTPUT ${made} DEPENDS ${source} VERBATIM
      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
      COMMAND sh -c "\"$1\" <\"$2\" >\"$3\"" sh ${SCDOC} ${source} ${made})
    list(APPEND made_pages ${made})
    install(FILES ${made} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endforeach()
  add_custom_target(man ALL DEPENDS ${made_pages})
else()
  message(STATUS "no scdoc: no man pages")
endif()

install(FILES tools/completion/ftx.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ftx)
# Debian's zsh looks into the first below /usr, into the second below /usr/local.
install(FILES tools/completion/_ftx DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES tools/completion/_ftx DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES tools/completion/ftx.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

# Not where hooks are looked for: whoever wants one copies it there.
install(PROGRAMS tools/hooks/on-complete.notify-send DESTINATION ${CMAKE_INSTALL_DATADIR}/ftxfs/hooks)

# They name no folder: systemd looks into /usr/local/bin and /usr/bin.
install(FILES tools/systemd/ftxfs.service tools/systemd/ftxfs@.service DESTINATION lib/systemd/user)
install(FILES tools/systemd/ftx-relay.service DESTINATION lib/systemd/system)

install(FILES README.md LICENSE docs/interface.md docs/protocol.md docs/relay.md docs/architecture.md docs/store.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ftxfs)
set(CPACK_PACKAGE_CONTACT "ftxfs <ftxfs@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "folders that send and receive, end-to-end encrypted")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "fuse3, libwebsockets-evlib-uv") # neither is linked: a program, and a plugin of libwebsockets
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates") # whom a wss:// relay is trusted by
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libnotify-bin") # the shipped hook
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/tools/deb/prerm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
