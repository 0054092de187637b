# SPDX-License-Identifier: MIT
# What stands on the disk: ranges, objects, the journal, changes, the database. Calls that must fail on command are wrapped.
ftx_test(store segments ftx_store)
target_link_options(test_segments PRIVATE
  -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)

ftx_test(store objects ftx_store)
target_link_options(test_objects PRIVATE
  -Wl,--wrap=fallocate64 -Wl,--wrap=copy_file_range -Wl,--wrap=lseek64)

ftx_test(store drop_behind ftx_store)
target_link_options(test_drop_behind PRIVATE -Wl,--wrap=posix_fadvise64)

ftx_test(store journal ftx_store)
target_link_options(test_journal PRIVATE -Wl,--wrap=fallocate64)

ftx_test(store change ftx_store)

ftx_test(store database ftx_store)
target_link_options(test_database PRIVATE -Wl,--wrap=calloc -Wl,--wrap=realloc)

ftx_test(store recovery ftx_store)

ftx_test(store ops ftx_store)
target_sources(test_ops PRIVATE wire/golden.c)

# The two boxes of one store, call by call.
ftx_test(store boxes ftx_store ftx_session)

# What an inbox's owner has given a name.
ftx_test(store kept ftx_store ftx_session)

# Attributes: sets of them, in the database, in the boxes.
ftx_test(store xattrs ftx_store ftx_session)

# What stands outside of the store.
ftx_test(store elsewhere ftx_store ftx_session)

# What of an outbox stays here.
ftx_test(store local ftx_store ftx_session)

# What the peer does not take.
ftx_test(store refused ftx_store ftx_session)

ftx_test(store index ftx_store ftx_session)

ftx_test(store news ftx_store ftx_session)

# What holds through full disks, failed syncs, kills and power cuts.
ftx_test(store promises ftx_store ftx_session)
target_link_options(test_promises PRIVATE -Wl,--wrap=ftx_object_write -Wl,--wrap=fdatasync)

# Released bytes, while others write to the file.
ftx_test(store release ftx_store ftx_session)
target_link_options(test_release PRIVATE -Wl,--wrap=ftx_object_write)

# What .ftx/events and .ftx/history tell.
ftx_test(store feed ftx_store)
ftx_test(store history ftx_store)

# What waits for its owner, and is held.
ftx_test(store offers ftx_store ftx_session)

# Which files a link takes, and how fast at what time.
ftx_test(store rules ftx_store)

# What .ftx/ctl does to links and items.
ftx_test(store steer ftx_store ftx_session)

# Files that wait, and what an item takes of memory.
ftx_test(store rests ftx_store ftx_session)

# The SHA-256 of files, asked of the other end.
ftx_test(store peer_digest ftx_store ftx_session)

# What the peer has, written again.
ftx_test(store rewrite ftx_store ftx_session)

# One folder for several members.
ftx_test(store group ftx_store ftx_session)
