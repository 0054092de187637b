/* SPDX-License-Identifier: MIT */
/*
 * Which handshakes of a link may run, and what they want.
 *
 * Both ends may dial at the same time, over several ways; S decides which connection lives. Several
 * handshakes may run: RESUMEs change nothing until one is proven, PAIRs until a guess is due. Then S
 * drops all others, and R does when it sees that: what S sends first there it sends on one of them.
 *
 * An end never runs a PAIR beside a RESUME. If it did, a RESUME could burn the code at S for keys
 * that R is just replacing, and the link were lost. So of a link that is ENROLLED, one mode gives
 * way to the other, or is refused, before the Hello is answered.
 */
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/peer/peer_internal.h"

bool ftx_peer_link(const struct ftx_peer *peer, enum ftx_mode mode, struct ftx_handshake_link *out)
{
    const struct ftx_peer_identity *id = peer->identity;
    *out = (struct ftx_handshake_link){.mode = mode, .role = id->role};
    if (mode == FTX_MODE_PAIR) {
        out->code = id->code;
        out->label = id->label;
        return !peer->paused && id->stage != FTX_PEER_PAIRED && id->guesses < FTX_GUESSES_MAX;
    }
    out->keys = &id->keys;
    out->aes = ftx_aes_is_quick();
    return !peer->paused && id->stage != FTX_PEER_ARMED;
}

static struct ftx_connection *connection_at(struct ftx_list *node)
{
    return ftx_list_of(node, struct ftx_connection, node);
}

/* Has the other end not said anything yet? */
static bool is_unanswered(const struct ftx_connection *c)
{
    return c->phase == FTX_CONNECTION_HANDSHAKE && c->secret->handshake.peer_hello.size == 0;
}

bool ftx_peer_in_handshake(const struct ftx_peer *peer)
{
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next)
        if (connection_at(it)->place == FTX_PLACE_HANDSHAKE && !is_unanswered(connection_at(it)))
            return true;
    return false;
}

/* -- who may begin -- */

/* Through a relay R waits for S's Hello. */
static bool has_mode(const struct ftx_connection *c)
{
    return c->place == FTX_PLACE_HANDSHAKE &&
           (c->phase != FTX_CONNECTION_HANDSHAKE || c->secret->handshake.mode != 0);
}

/* PAIR until it is complete; a RESUME in records has no handshake any more. */
static bool is_pair(const struct ftx_connection *c)
{
    return c->phase == FTX_CONNECTION_HANDSHAKE && c->secret->handshake.mode == FTX_MODE_PAIR;
}

bool ftx_peer_other_mode(const struct ftx_peer *peer, enum ftx_mode mode)
{
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next)
        if (has_mode(connection_at(it)) && is_pair(connection_at(it)) != (mode == FTX_MODE_PAIR))
            return true;
    return false;
}

/* True if `hello` is what this node itself has dialled. */
static bool is_own(const struct ftx_peer *peer, const struct ftx_hello *hello)
{
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next) {
        const struct ftx_connection *c = connection_at(it);
        if (c->try && c->phase == FTX_CONNECTION_HANDSHAKE &&
            memcmp(c->secret->handshake.own_hello.nonce, hello->nonce, FTX_NONCE_SIZE) == 0)
            return true;
    }
    return false;
}

/* Must the newcomer be refused for the sake of `c`, which is in handshake? */
static bool refuses(const struct ftx_peer *peer, const struct ftx_connection *c, enum ftx_mode mode)
{
    if (is_pair(c) == (mode == FTX_MODE_PAIR)) /* of PAIRs that others began, one at a time */
        return mode == FTX_MODE_PAIR && (!c->try || c->guessed);
    if (c->try && peer->identity->role == FTX_ROLE_S)
        return true;
    /* Who resumes has shown more than a label, and R's own Hello has shown nothing. */
    return mode == FTX_MODE_PAIR && !is_unanswered(c);
}

static bool make_way(struct ftx_peer *peer, enum ftx_mode mode)
{
    bool busy = peer->session.state != FTX_SESSION_NONE || peer->candidate;
    if (mode == FTX_MODE_PAIR && busy)
        return false;
    struct ftx_list *end = &peer->connections;
    for (struct ftx_list *it = end->next; it != end; it = it->next)
        if (has_mode(connection_at(it)) && refuses(peer, connection_at(it), mode))
            return false;
    for (struct ftx_list *it = end->next; it != end; it = it->next) {
        struct ftx_connection *c = connection_at(it);
        if (has_mode(c) && is_pair(c) != (mode == FTX_MODE_PAIR))
            ftx_peer_drop(peer, c);
    }
    return true;
}

bool ftx_peer_accept(struct ftx_peer *peer, struct ftx_connection *c,
                     const struct ftx_handshake_link *link)
{
    const struct ftx_hello *hello = &c->secret->handshake.peer_hello;
    /* Two ends that armed a code in the same role are told so; that cannot be of those who resume.
     */
    bool told = hello->role == peer->identity->role && hello->mode == FTX_MODE_PAIR;
    bool own = hello->role == peer->identity->role && (is_own(peer, hello) || !told);
    if (own || (!told && !make_way(peer, hello->mode))) {
        ftx_log(FTX_LOG_DEBUG, "connection from %s refused: another one is under way", c->address);
        ftx_peer_rest(peer);
        return false;
    }
    ftx_list_remove(&c->node);
    ftx_list_append(&peer->connections, &c->node);
    ftx_connection_own(c, &ftx_peer_events, peer);
    c->way.path = ftx_address_path(c->address);
    c->data = hello->data;
    ftx_connection_resolved(c, link);
    return true;
}

/* In R's place, joined with who is in that of S by a relay: he has said Hello. */
static void resolve(struct ftx_peer *peer, struct ftx_connection *c)
{
    const struct ftx_hello *hello = &c->secret->handshake.peer_hello;
    struct ftx_handshake_link link;
    bool fits = ftx_peer_link(peer, hello->mode, &link) && ftx_hello_matches(hello, &link);
    bool told = hello->role == peer->identity->role; /* that both have this role, nothing else */
    if (fits && (told || make_way(peer, hello->mode)))
        ftx_connection_resolved(c, &link);
    else
        ftx_peer_handshake_ended(peer, c, fits ? FTX_EREPLACED : FTX_EAUTH);
}

/* -- what a handshake wants -- */

/* The PAIR is complete: what follows is a RESUME, at once. */
static void paired(struct ftx_peer *peer, struct ftx_connection *c)
{
    ftx_log(FTX_LOG_INFO, "paired with %s", c->address);
    c->place = FTX_PLACE_OUT;
    ftx_peer_try_over(c);
    ftx_connection_finish(c);
    ftx_peer_dial_at_once(peer);
}

/* The one PAIR that goes on is chosen. */
static void spend_guess(struct ftx_peer *peer, struct ftx_connection *c)
{
    ftx_peer_dial_cancel_round(peer);
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next)
        if (connection_at(it) != c && connection_at(it)->place == FTX_PLACE_HANDSHAKE)
            ftx_peer_drop(peer, connection_at(it));
    c->guessed = c->guess_open = true;
    ftx_peer_tell(peer, FTX_PEER_PAIRING, "");
    peer->identity->guesses++;
    c->awaits = ftx_peer_save(peer);
}

static void keep_keys(struct ftx_peer *peer, struct ftx_connection *c)
{
    assert(peer->identity->stage != FTX_PEER_PAIRED);
    peer->identity->keys = c->secret->handshake.keys;
    peer->identity->stage = FTX_PEER_ENROLLED;
    c->awaits = ftx_peer_save(peer);
}

/* S: R's message verified, so R is there and has the keys. R waits for S's first record. */
static void resumed(struct ftx_peer *peer, struct ftx_connection *c)
{
    if (peer->identity->role == FTX_ROLE_R)
        return;
    /* What the peer dialled it has a reason for: it has lost the session, or its way is better. */
    if (!c->data && (!c->try || c->way.path > ftx_peer_above(peer)))
        ftx_peer_nominate(peer, c);
    else if (!c->data)
        ftx_peer_handshake_ended(peer, c, FTX_EREPLACED);
    else if (!ftx_peer_session_join(peer, c))
        ftx_peer_handshake_ended(peer, c, -ENOTCONN);
}

void ftx_peer_handshake_wants(struct ftx_peer *peer, struct ftx_connection *c,
                              enum ftx_handshake_want want)
{
    switch (want) {
    case FTX_WANT_GUESS_SPENT:
        spend_guess(peer, c);
        break;
    case FTX_WANT_GUESS_BACK:
        c->guess_open = false;
        peer->identity->guesses = 0;
        ftx_peer_save(peer);
        ftx_connection_written(c);
        break;
    case FTX_WANT_KEYS_WRITTEN:
        keep_keys(peer, c);
        break;
    case FTX_WANT_CLOSE:
        paired(peer, c);
        break;
    case FTX_WANT_RECORDS:
        resumed(peer, c);
        break;
    case FTX_WANT_LINK:
        resolve(peer, c);
        break;
    case FTX_WANT_BYTES:
        break;
    }
}

/* -- R: the first record -- */

/* Refuses a session whose number is not new: who dialled has missed what came since. */
static void say_replaced(struct ftx_peer *peer, struct ftx_connection *c)
{
    struct ftx_message m = {.type = FTX_MSG_GOODBYE};
    struct ftx_plan *plan = ftx_plan_new(0, 0);
    m.as.reason = FTX_BYE_REPLACED;
    if (plan && !ftx_plan_add_message(plan, &m))
        ftx_connection_send(c, plan, NULL, NULL);
    else
        ftx_plan_free(plan);
    ftx_connection_finish(c);
    ftx_peer_handshake_ended(peer, c, FTX_EREPLACED);
}

void ftx_peer_handshake_record(struct ftx_peer *peer, struct ftx_connection *c,
                               const uint8_t *plain, size_t size, void *whole)
{
    struct ftx_message m = {0};
    size_t offset = 0;
    int err = ftx_message_decode(plain, size, &offset, &m);
    bool replaces = m.type == FTX_MSG_START && m.as.start.session > peer->identity->session;
    bool joins = m.type == FTX_MSG_JOIN && m.as.start.session == peer->session.engine.session;

    if (!err && peer->identity->role == FTX_ROLE_R && replaces) {
        c->first.plain = plain;
        c->first.size = size;
        c->first.whole = whole;
        ftx_peer_nominate(peer, c);
        return;
    }
    if (!err && peer->identity->role == FTX_ROLE_R && joins && ftx_peer_session_join(peer, c)) {
        ftx_peer_session_record(peer, c, plain, size, whole);
        return;
    }
    ftx_block_free(whole);
    if (!err && peer->identity->role == FTX_ROLE_R && m.type == FTX_MSG_START)
        say_replaced(peer, c);
    else
        ftx_peer_handshake_ended(peer, c, err ? err : FTX_EPROTO);
}

/* -- failure -- */

void ftx_peer_handshake_ended(struct ftx_peer *peer, struct ftx_connection *c, int err)
{
    bool dialled = c->try;
    if (c->place == FTX_PLACE_OUT)
        return;
    if (c->try && c->try->way.path > FTX_PATH_RELAY && !c->guessed &&
        (err == UV_EOF || err == UV_ECONNRESET))
        ftx_peer_tell_failure(peer, &c->try->way, UV_EOF);
    ftx_peer_try_over(c);
    ftx_log(FTX_LOG_INFO, "connection %s %s ended: %s", c->dialled ? "to" : "from", c->address,
            ftx_err_text(err));
    if (err == FTX_EROLE || err == FTX_EREPLACED)
        ftx_connection_finish(c); /* what tells the peer is on its way */
    if (c->phase == FTX_CONNECTION_FINISHING)
        c->place = FTX_PLACE_OUT;
    else
        ftx_peer_drop(peer, c);
    if (err == FTX_EROLE && peer->identity->stage == FTX_PEER_ARMED)
        ftx_peer_tell(peer, FTX_PEER_SAME_ROLE, "");
    else if (peer->health == FTX_PEER_PAIRING)
        ftx_peer_tell(peer, FTX_PEER_OFFLINE, "");
    if (dialled)
        ftx_peer_dial_failed(peer, c->data);
    else
        ftx_peer_rest(peer);
}
