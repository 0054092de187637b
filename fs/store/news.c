/* SPDX-License-Identifier: MIT */
/* The queue of news, and what need not be told because the same was to be told anyway. */
#include "fs/store/news.h"

#include "fs/store/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_looked_at(const struct ftx_item *item)
{
    return item && item->looked_at && item->n_lookup;
}

/* Somebody may want to hear of it. */
static bool is_watched(const struct ftx_store *store, const struct ftx_item *item)
{
    return store->events.news && item->linked && (is_looked_at(item->parent) || is_looked_at(item));
}

static struct ftx_news *note(struct ftx_store *store, enum ftx_news_what what,
                             const struct ftx_item *item, const struct ftx_item *folder,
                             const char *name, const char *to)
{
    size_t size = strlen(name) + 1, to_size = to ? strlen(to) + 1 : 0;
    struct ftx_news *news =
        store->n_news < FTX_NEWS_MAX ? calloc(1, sizeof *news + size + to_size) : NULL;
    if (!news) {
        store->news_lost++;
        return NULL;
    }
    news->item = item->id;
    news->kind = item->kind;
    news->what = (uint8_t)what;
    news->folder = folder->id;
    memcpy(news->name, name, size);
    if (to) {
        memcpy(news->name + size, to, to_size);
        news->to = news->name + size;
        news->to_folder = item->parent->id;
    }
    ftx_list_init(&news->node);
    ftx_list_append(&store->news, &news->node);
    store->n_news++;
    return news;
}

/* An unfinished inbox file: it may have news of its making in the queue. */
static struct ftx_arriving *arriving_of(const struct ftx_item *item)
{
    return item && item->box == FTX_INBOX && item->kind == FTX_FILE ? item->as.arriving : NULL;
}

bool ftx_news_made(struct ftx_store *store, struct ftx_item *item)
{
    if (!is_watched(store, item))
        return false;
    struct ftx_news *news = note(store, FTX_NEWS_MADE, item, item->parent, item->name, NULL);
    struct ftx_arriving *arriving = arriving_of(item);
    if (news && arriving)
        arriving->made = news;
    return news != NULL;
}

bool ftx_news_complete(struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_arriving *arriving = arriving_of(item);
    if (!is_watched(store, item))
        return false;
    if (arriving && arriving->made) {
        arriving->made->complete = true;
        return false;
    }
    return note(store, FTX_NEWS_COMPLETE, item, item->parent, item->name, NULL) != NULL;
}

bool ftx_news_moved(struct ftx_store *store, struct ftx_item *item, const struct ftx_item *from,
                    const char *name)
{
    struct ftx_arriving *arriving = arriving_of(item);
    if (!is_watched(store, item) && !(store->events.news && is_looked_at(from)))
        return false;
    if (arriving)
        arriving->made = NULL; /* its end is told under the new name, after this */
    struct ftx_news *news = note(store, FTX_NEWS_MOVED, item, from, name, item->name);
    if (news)
        news->complete = item->kind == FTX_FILE && !arriving;
    return news != NULL;
}

bool ftx_news_gone(struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_arriving *arriving = arriving_of(item);
    if (!is_watched(store, item))
        return false;
    if (arriving && arriving->made) { /* nobody was told of it yet */
        arriving->made->what = FTX_NEWS_NOTHING;
        arriving->made = NULL;
        return false;
    }
    return note(store, FTX_NEWS_GONE, item, item->parent, item->name, NULL) != NULL;
}

bool ftx_news_attr(struct ftx_store *store, struct ftx_item *item)
{
    if (!is_watched(store, item) || arriving_of(item))
        return false; /* whoever waits for an unfinished file looks when it is complete */
    return note(store, FTX_NEWS_ATTR, item, item->parent, item->name, NULL) != NULL;
}

struct ftx_news *ftx_news_take(struct ftx_store *store)
{
    struct ftx_news *news = NULL;
    pthread_mutex_lock(&store->lock);
    struct ftx_list *node = ftx_list_pop(&store->news);
    if (node) {
        news = ftx_list_of(node, struct ftx_news, node);
        store->n_news--;
        struct ftx_item *item = ftx_item_find(&store->index, news->item);
        if (arriving_of(item) && item->as.arriving->made == news)
            item->as.arriving->made = NULL;
    }
    pthread_mutex_unlock(&store->lock);
    return news;
}

void ftx_news_ask(struct ftx_store *store, uint64_t folder)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_item_find(&store->index, folder);
    store->asked.folder = item ? folder : 0;
    store->asked.n_lookup = item ? item->n_lookup : 0;
    store->asked.open = item != NULL;
    pthread_mutex_unlock(&store->lock);
}

bool ftx_news_forgotten(struct ftx_store *store, uint64_t folder)
{
    pthread_mutex_lock(&store->lock);
    bool forgotten = store->asked.folder == folder && !store->asked.open;
    pthread_mutex_unlock(&store->lock);
    return forgotten;
}

void ftx_news_looked_up(struct ftx_store *store, struct ftx_item *item)
{
    item->looked_at = true;
    if (store->asked.open && store->asked.folder == item->id)
        store->asked.folder = 0; /* taken back: who looks may be about to watch */
}

void ftx_news_forget(struct ftx_store *store, struct ftx_item *item, uint64_t n)
{
    bool asked = store->asked.open && store->asked.folder == item->id;
    if (asked && n >= store->asked.n_lookup)
        store->asked.open = false;
    if (item->n_lookup == 0 || (asked && !store->asked.open))
        item->looked_at = false;
}

bool ftx_news_wanted(struct ftx_store *store, const struct ftx_news *news)
{
    const struct ftx_index *index = &store->index;
    pthread_mutex_lock(&store->lock);
    bool wanted = news->what && (is_looked_at(ftx_item_find(index, news->folder)) ||
                                 is_looked_at(ftx_item_find(index, news->to_folder)) ||
                                 is_looked_at(ftx_item_find(index, news->item)));
    pthread_mutex_unlock(&store->lock);
    return wanted;
}

uint64_t ftx_news_lost(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    uint64_t lost = store->news_lost;
    store->news_lost = 0;
    pthread_mutex_unlock(&store->lock);
    return lost;
}

int ftx_news_path(struct ftx_store *store, uint64_t folder, char *out, size_t size,
                  uint64_t *out_parent)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_item_find(&store->index, folder);
    size_t path_size;
    const char *path = item && item->kind == FTX_FOLDER && (!item->link || item->linked)
                           ? ftx_item_path(item, out, size, &path_size)
                           : NULL;
    int err = path ? 0 : -ENOENT;
    if (!err) {
        memmove(out, path, path_size + 1);
        *out_parent = item->parent ? item->parent->id : FTX_ID_ROOT;
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

void ftx_news_close(struct ftx_store *store)
{
    for (struct ftx_list *node; (node = ftx_list_pop(&store->news));)
        free(ftx_list_of(node, struct ftx_news, node));
}
