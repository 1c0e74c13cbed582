/* Callers of every kind, and a node that knows them and has things that they may use or not. As it
 * includes fake_node.h, exactly one file of a program includes it. */
#ifndef TESTS_SUPPORT_PERMISSION_KIT_H
#define TESTS_SUPPORT_PERMISSION_KIT_H

#include "lease/lease.h"
#include "base/tls.h"
#include "recipes/record.h"
#include "store/policy.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_node.h"
#include "tests/support/permission_request.h"

/* Of "pw", as cheap as can be. */
#define PW_HASH                                        \
    "scrypt:1:1:1:00000000000000000000000000000000:"   \
    "78ffea4b314db3c8aad4c56068473572fb2d481e887c75915cde7957caa65067"

#define TOKEN_TTL_MS 60000

enum proof { NONE, WRONG, USER, DIGEST, EXPIRED, CERTIFICATE };

/* In the order of the columns. */
static const struct caller {
    const char *title;
    enum proof proof;
    const char *user;
    uint8_t rights;     /* of his role, on "/t" */
    const char *denied; /* and all of them denied on this path */
} callers[] = {
    {"nobody", NONE, NULL, 0, NULL},
    {"wrong password", WRONG, "admin", 0, NULL},
    {"no roles", USER, "plain", 0, NULL},
    {"reader", USER, "reader", ACL_READ, NULL},
    {"writer", USER, "writer", ACL_WRITE, NULL},
    {"creator", USER, "creator", ACL_CREATE, NULL},
    {"deleter", USER, "deleter", ACL_DELETE, NULL},
    {"all of the subtree", USER, "subtree", ACL_ALL, NULL},
    {"all, denied below", USER, "denied", ACL_ALL, "/t/a"},
    {"root", USER, "admin", 0, NULL},
    {"digest of a list", DIGEST, "alice", 0, NULL},
    {"expired token", EXPIRED, "admin", 0, NULL},
    {"disabled", USER, "off", ACL_ALL, NULL},
    {"reader by certificate", CERTIFICATE, "certified", ACL_READ, NULL},
};
#define CALLERS (sizeof callers / sizeof callers[0])

/* Of the caller "certified". */
static const struct tls_peer certificate = {.version = "",
                                            .cipher = "",
                                            .protocol = "",
                                            .subject = "CN=certified,O=tests",
                                            .common_name = "certified"};

static inline void apply(struct node *n, const char *as, struct command c)
{
    struct reply reply;
    struct buf who = {0};
    c.identities = auth_kit_who(&who, as);
    struct apply_context context = {
        .index = ++n->index, .cluster_ms = n->cluster_ms, .last_of_entry = true};
    store_apply(n->store, &context, &c, &reply);
    ck_assert_msg(reply.outcome == OUTCOME_OK, "%s", outcome_text(reply.outcome));
    hub_dispatch(n->watches);
    buf_close(&who);
}

static inline void change(struct node *n, struct command_auth what)
{
    apply(n, "admin", (struct command){.type = COMMAND_AUTH, .auth = what});
}

static inline void node_make(struct node *n, const char *path)
{
    struct op op = kit_op(OP_CREATE, path, "x");
    apply(n, NULL,
          (struct command){.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}});
}

static inline void lease_make(struct node *n, uint64_t id, enum lease_kind kind)
{
    apply(n, "other",
          (struct command){.type = COMMAND_GRANT,
                           .lease = {.id = id,
                                     .ttl_ms = 10000,
                                     .kind = (uint8_t)kind,
                                     .renewable = true,
                                     .secret = slice_str(FURNISHED_SECRET)}});
}

static inline void user_make(struct node *n, const struct caller *c)
{
    struct slice name = slice_str(c->user);
    if (auth_find_user(store_auth(n->store), name) != NULL || c->proof == DIGEST) {
        return;
    }
    change(n, (struct command_auth){
                  .action = AUTH_USER_ADD, .user = name, .secret = slice_str(PW_HASH)});
    if (c->rights == 0) {
        return;
    }
    struct command_auth grant = {
        .action = AUTH_ROLE_GRANT, .role = name, .path = slice_str("/t"), .rights = c->rights};
    change(n, (struct command_auth){.action = AUTH_ROLE_ADD, .role = name});
    change(n, grant);
    if (c->denied != NULL) {
        grant.path = slice_str(c->denied);
        grant.flag = true;
        change(n, grant);
    }
    change(n, (struct command_auth){.action = AUTH_USER_GRANT, .user = name, .role = name});
}

/* "/t/a" with a child and a quota, all the callers, somebody else's lease, session and lock. */
static inline void furnish(struct node *n)
{
    node_make(n, "/t");
    node_make(n, "/t/a");
    node_make(n, "/t/a/b");
    apply(n, NULL,
          (struct command){.type = COMMAND_QUOTA,
                           .quota = {.path = slice_str("/t/a"), .nodes = 1000}});
    uint8_t key[POLICY_KEY_BYTES_MAX];
    struct op root = {.type = OP_CREATE,
                      .space = SPACE_META,
                      .path = policy_root_key(slice_str("/t/a"), key),
                      .data = slice_str("10 open")};
    apply(n, NULL,
          (struct command){.type = COMMAND_TXN, .txn = {.then_ops = &root, .then_count = 1}});
    for (size_t i = 0; i < CALLERS; i++) {
        if (callers[i].user != NULL) {
            user_make(n, &callers[i]);
        }
    }
    change(n, (struct command_auth){.action = AUTH_USER_GRANT,
                                    .user = slice_str("admin"),
                                    .role = slice_str(AUTH_ROLE_ROOT)});
    change(n, (struct command_auth){.action = AUTH_USER_ADD, .user = slice_str("other")});
    change(n, (struct command_auth){.action = AUTH_ROLE_ADD, .role = slice_str("unused")});
    change(n, (struct command_auth){
                  .action = AUTH_USER_DISABLE, .user = slice_str("off"), .flag = true});
    change(n, (struct command_auth){.action = AUTH_ENABLE,
                                    .secret = slice_str(AUTH_KIT_KEY),
                                    .token_ttl_ms = TOKEN_TTL_MS});
    lease_make(n, FURNISHED_LEASE, LEASE_PLAIN);
    lease_make(n, FURNISHED_SESSION, LEASE_SESSION);
    struct recipe_target lock = {.path = slice_str("/t/a/lock"), .mode = LOCK_WRITE};
    apply(n, "admin",
          (struct command){.type = COMMAND_RECIPE,
                           .recipe = {.recipe = RECIPE_LOCK,
                                      .action = RECIPE_ACQUIRE,
                                      .lease = FURNISHED_LEASE,
                                      .targets = &lock,
                                      .target_count = 1}});
    struct recipe_target election = {.path = slice_str("/t/a/election")};
    apply(n, "admin",
          (struct command){.type = COMMAND_RECIPE,
                           .recipe = {.recipe = RECIPE_ELECTION,
                                      .action = RECIPE_ACQUIRE,
                                      .lease = FURNISHED_LEASE,
                                      .targets = &election,
                                      .target_count = 1}});
    struct recipe_target barrier = {.path = slice_str("/t/a/barrier")};
    apply(n, "admin",
          (struct command){.type = COMMAND_RECIPE,
                           .recipe = {.recipe = RECIPE_BARRIER,
                                      .action = RECIPE_ACQUIRE,
                                      .lease = FURNISHED_LEASE,
                                      .number = 1,
                                      .targets = &barrier,
                                      .target_count = 1}});
}

#endif
