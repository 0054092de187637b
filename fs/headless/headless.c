/* SPDX-License-Identifier: MIT */
/* The life of an end without a mount. */
#include "fs/headless/internal.h"

#include "fs/store/history.h"
#include "fs/store/offer.h"
#include "fs/store/spool.h"
#include "fs/store/steer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- events of the store -- */

static void on_wake(void *ctx)
{
    struct ftx_headless *h = ctx;
    struct ftx_network *network = h->network;
    if (network)
        ftx_network_wake(network);
}

static void on_arrived(void *ctx)
{
    struct ftx_headless *h = ctx;
    h->news = true;
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static const struct ftx_store_events events = {.wake = on_wake,
                                               .committed = on_wake,
                                               .arrived = on_arrived,
                                               .news = ignore,
                                               .happened = ignore};

/* -- life -- */

/* Makes the store known as one of ours, or finds that it is. The links of a mount are not ours to
 * send over, and to forget. */
static int claim(struct ftx_headless *h, const char *store, char *message, size_t room)
{
    char *mark;
    if (asprintf(&mark, "%s/.ftx/alone", store) < 0)
        return -ENOMEM;
    bool ours = access(mark, F_OK) == 0;
    bool empty = ftx_links_status(h->store, NULL, 0) == 0;
    int fd = ours || !empty ? -1 : open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int err = ours || fd >= 0 ? 0 : empty ? -errno : -EEXIST;
    if (err == -EEXIST)
        snprintf(message, room, "%s: a mount has its links there; name another --store", store);
    else if (err)
        snprintf(message, room, "%s: %s", mark, strerror(-err));
    if (fd >= 0)
        close(fd);
    free(mark);
    return err;
}

int ftx_headless_open(const char *store, enum ftx_box box, char *message, size_t room,
                      struct ftx_headless **out_headless)
{
    /* what is sent stands elsewhere, and what has come is moved out: nothing is to be released */
    static const struct ftx_spool_config keep = {.keep_all = true, .release_after_ms = INT32_MAX};
    struct ftx_headless *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    int err = ftx_store_open(store, message, room, &h->store);
    if (err) {
        free(h);
        return err;
    }
    ftx_store_set_events(h->store, &events, h);
    ftx_spool_configure(h->store, &keep);
    ftx_history_configure(h->store, 0);
    pthread_mutex_init(&h->ways.lock, NULL);
    h->box = box;
    h->news = true;
    err = claim(h, store, message, room);
    if (err) {
        ftx_store_close(h->store);
        pthread_mutex_destroy(&h->ways.lock);
        free(h);
        return err;
    }
    *out_headless = h;
    return 0;
}

/* All links of the store, to be freed. */
static struct ftx_link_status *list_links(struct ftx_headless *h, size_t *out_n)
{
    size_t n = ftx_links_status(h->store, NULL, 0);
    struct ftx_link_status *links = calloc(n + 1, sizeof *links);
    *out_n = links ? ftx_links_status(h->store, links, n) : 0;
    return links;
}

bool ftx_headless_find(struct ftx_headless *h, const char *name)
{
    size_t n, n_found = 0;
    struct ftx_link_status *links = list_links(h, &n), *found = NULL;
    for (size_t i = 0; i < n; i++)
        if (links[i].sender == (h->box == FTX_OUTBOX) &&
            (!name || strcmp(links[i].name, name) == 0)) {
            found = &links[i];
            n_found++;
        }
    if (n_found == 1)
        snprintf(h->name, sizeof h->name, "%s", found->name);
    free(links);
    return n_found == 1;
}

void ftx_headless_disarm_others(struct ftx_headless *h)
{
    size_t n;
    struct ftx_link_status *links = list_links(h, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(links[i].name, h->name) != 0)
            (void)ftx_link_disarm(h->store, h->box, links[i].name, strlen(links[i].name));
    free(links);
}

static int set_accept(struct ftx_headless *h, enum ftx_accept accept)
{
    struct ftx_setting_value value = {.number = accept};
    snprintf(value.text, sizeof value.text, "%s", ftx_accept_text((uint8_t)accept));
    return ftx_link_set(h->store, h->name, strlen(h->name), FTX_SETTING_ACCEPT, &value);
}

int ftx_headless_arm(struct ftx_headless *h, const char *code)
{
    uint64_t folder;
    int err = ftx_link_arm(h->store, h->box, code, strlen(code), &folder);
    if (err)
        return err;
    snprintf(h->name, sizeof h->name, "%s", code);
    return h->box == FTX_INBOX ? set_accept(h, FTX_ACCEPT_ASK) : 0;
}

int ftx_headless_accept(struct ftx_headless *h)
{
    return set_accept(h, FTX_ACCEPT_ALL);
}

int ftx_headless_reject(struct ftx_headless *h)
{
    return ftx_link_reject(h->store, h->name, strlen(h->name));
}

const char *ftx_headless_name(const struct ftx_headless *h)
{
    return h->name;
}

int ftx_headless_connect(struct ftx_headless *h, const struct ftx_network_config *config)
{
    struct ftx_network *network;
    struct ftx_network_config heard = *config;
    heard.xfer.failed = ftx_headless_failed;
    heard.xfer.failed_ctx = h;
    int err = ftx_network_open(h->store, &heard, &network);
    if (err)
        return err;
    h->network = network;
    return ftx_network_start(network);
}

int ftx_headless_look(struct ftx_headless *h, struct ftx_link_status *out)
{
    return ftx_link_status(h->store, h->name, strlen(h->name), out);
}

bool ftx_headless_news(struct ftx_headless *h)
{
    return atomic_exchange(&h->news, false);
}

bool ftx_headless_close(struct ftx_headless *h, bool over)
{
    if (h->network)
        ftx_network_close(h->network);
    if (over)
        (void)ftx_link_unpair(h->store, h->name, strlen(h->name), true);
    else if (h->box == FTX_INBOX)
        (void)ftx_link_disarm(h->store, h->box, h->name, strlen(h->name));
    bool empty = ftx_links_status(h->store, NULL, 0) == 0;
    ftx_store_close(h->store);
    ftx_network_free(h->network);
    pthread_mutex_destroy(&h->ways.lock);
    explicit_bzero(h->name, sizeof h->name);
    free(h);
    return empty;
}

/* -- names -- */

int ftx_headless_id(struct ftx_headless *h, const char *name, uint64_t *out_id)
{
    char *path;
    int n = asprintf(&path, "%s/%s%s%s", h->box == FTX_OUTBOX ? "outbox" : "inbox", h->name,
                     *name ? "/" : "", name);
    if (n < 0)
        return -ENOMEM;
    int err = ftx_path_find(h->store, path, (size_t)n, out_id);
    free(path);
    return err;
}

static bool add_child(void *ctx, const char *name, uint64_t cookie, const struct ftx_attr *attr)
{
    struct ftx_children *children = ctx;
    (void)cookie;
    if ((children->n & (children->n - 1)) == 0) { /* full at each power of two */
        struct ftx_child *grown =
            realloc(children->at, (children->n ? 2 * children->n : 1) * sizeof *grown);
        if (!grown)
            return false;
        children->at = grown;
    }
    char *copy = strdup(name);
    if (copy)
        children->at[children->n++] = (struct ftx_child){.attr = *attr, .name = copy};
    return copy != NULL;
}

int ftx_children_list(struct ftx_headless *h, uint64_t folder, struct ftx_children *out)
{
    *out = (struct ftx_children){0};
    return ftx_tree_list(h->store, folder, 0, add_child, out);
}

void ftx_children_free(struct ftx_children *children)
{
    for (size_t i = 0; i < children->n; i++)
        free(children->at[i].name);
    free(children->at);
}
