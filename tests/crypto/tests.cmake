# SPDX-License-Identifier: MIT
# Known answers of the primitives, then the handshake: two ends, and what may go wrong between them.
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson)

ftx_test(crypto cpace ftx_crypto PkgConfig::CJSON)
ftx_test(crypto noise ftx_crypto PkgConfig::CJSON)
target_sources(test_cpace PRIVATE crypto/vectors.c)
target_sources(test_noise PRIVATE crypto/vectors.c)
ftx_test(crypto record ftx_crypto)
target_link_options(test_record PRIVATE -Wl,--wrap=EVP_CIPHER_CTX_new)
ftx_test(crypto identity ftx_crypto)
ftx_test(crypto handshake ftx_session)
ftx_test(crypto handshake_attacks ftx_session)
target_sources(test_handshake PRIVATE crypto/two_ends.c)
target_sources(test_handshake_attacks PRIVATE crypto/two_ends.c)
