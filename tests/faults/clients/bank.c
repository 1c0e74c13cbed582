/* Money goes from one account to another, and never comes or goes. A value is "BALANCE:CALL". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/faults/clients/txn.h"

#define ACCOUNTS 5
#define THINK_MS 10

static void account_path(unsigned account, char path[WORKER_PATH_BYTES])
{
    snprintf(path, WORKER_PATH_BYTES, "/bank/a%u", account);
}

static void make_value(struct worker *w, long balance, char value[WORKER_VALUE_BYTES])
{
    snprintf(value, WORKER_VALUE_BYTES, "%ld:%s.%" PRIu64, balance, w->name, ++w->written);
}

static void transfer(struct worker *w)
{
    unsigned from = worker_random(w, ACCOUNTS);
    unsigned to = (from + 1 + worker_random(w, ACCOUNTS - 1)) % ACCOUNTS;
    char path[2][WORKER_PATH_BYTES];
    char value[2][WORKER_VALUE_BYTES];
    account_path(from, path[0]);
    account_path(to, path[1]);
    struct result a = worker_get(w, path[0]);
    struct result b = worker_get(w, path[1]);
    if (a.code != COORD_OK || b.code != COORD_OK) {
        return;
    }
    long amount = 1 + (long)worker_random(w, 9);
    make_value(w, strtol(a.data, NULL, 10) - amount, value[0]);
    make_value(w, strtol(b.data, NULL, 10) + amount, value[1]);
    const struct txn_set sets[2] = {{path[0], a.stat.version, value[0]},
                                    {path[1], b.stat.version, value[1]}};
    txn_write(w, sets, 2, NULL, 0);
}

static void count_all(struct worker *w)
{
    char path[ACCOUNTS][WORKER_PATH_BYTES];
    struct txn_read reads[ACCOUNTS];
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        account_path(i, path[i]);
        reads[i].path = path[i];
    }
    txn_read(w, reads, ACCOUNTS);
}

void worker_run_bank(struct worker *w)
{
    while (!worker_should_stop(w)) {
        if (worker_random(w, 4) == 0) {
            count_all(w);
        } else {
            transfer(w);
        }
        worker_think(w, THINK_MS);
    }
}
