/* SPDX-License-Identifier: MIT */
/* Intrusive doubly linked list: the node stands in its owner; an unlinked node points at itself. */
#ifndef FTX_BASE_LIST_H
#define FTX_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ftx_list {
    struct ftx_list *prev;
    struct ftx_list *next;
};

#define ftx_list_of(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void ftx_list_init(struct ftx_list *node)
{
    node->prev = node;
    node->next = node;
}

static inline bool ftx_list_empty(const struct ftx_list *head)
{
    return head->next == head;
}

/* True if the (initialised) node stands in a list. */
static inline bool ftx_list_linked(const struct ftx_list *node)
{
    return node->next != node;
}

/* Puts `node` before `position`: at the end of a list if that is its head. */
static inline void ftx_list_insert(struct ftx_list *position, struct ftx_list *node)
{
    node->prev = position->prev;
    node->next = position;
    position->prev->next = node;
    position->prev = node;
}

static inline void ftx_list_append(struct ftx_list *head, struct ftx_list *node)
{
    ftx_list_insert(head, node);
}

/* Takes the node out of its list; harmless if it stands in none. */
static inline void ftx_list_remove(struct ftx_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    ftx_list_init(node);
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void ftx_list_splice(struct ftx_list *to, struct ftx_list *from)
{
    if (ftx_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ftx_list_init(from);
}

/* First node, taken out, or NULL. */
static inline struct ftx_list *ftx_list_pop(struct ftx_list *head)
{
    struct ftx_list *node = head->next;
    if (node == head)
        return NULL;
    ftx_list_remove(node);
    return node;
}

#endif
