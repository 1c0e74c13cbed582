#include "plan/plan.h"

#include "base/assert.h"
#include "base/mem.h"
#include "plan/place.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

const char *plan_why_name(uint8_t why)
{
    static const char *const names[] = {NULL,   "new",  "lost", "missing", "surplus", "drain",
                                        "tags", "zone", "pin",  "fill",    "balance"};
    return why < COUNT_OF(names) ? names[why] : NULL;
}

const char *plan_kind_name(uint8_t kind)
{
    static const char *const names[] = {NULL, "add", "move", "drop", "lead"};
    return kind < COUNT_OF(names) ? names[kind] : NULL;
}

uint64_t plan_duration_ms(const struct plan_cluster *c, uint64_t copies, uint64_t bytes)
{
    uint64_t at_a_time = c->concurrent_max > 0 ? c->concurrent_max : copies;
    uint64_t rounds = copies > 0 ? (copies + at_a_time - 1) / at_a_time : 0;
    uint64_t seconds = c->bandwidth_bytes_s > 0 ? bytes / c->bandwidth_bytes_s : 0;
    uint64_t rest = c->bandwidth_bytes_s > 0 ? bytes % c->bandwidth_bytes_s : 0;
    uint64_t rest_ms = rest > 0 ? rest / ((c->bandwidth_bytes_s + 999) / 1000) : 0;
    return seconds * 1000 + rest_ms + rounds * c->overhead_ms;
}

void plan_make(const struct plan_cluster *c, enum plan_goal goal, struct plan *out)
{
    struct place p;
    *out = (struct plan){0};
    place_init(&p, c, out);
    out->imbalance_permille = place_imbalance(&p);
    repair_shards(&p);
    if (goal >= PLAN_FILL) {
        balance_fill(&p);
    }
    if (goal >= PLAN_BALANCE) {
        balance_replicas(&p);
    }
    repair_leaders(&p);
    if (goal >= PLAN_BALANCE) {
        balance_leaders(&p);
    }
    out->result_permille = place_imbalance(&p);
    uint64_t copies = 0;
    for (uint32_t i = 0; i < out->step_count; i++) {
        const struct plan_step *step = &out->steps[i];
        out->bytes += step->bytes;
        copies += step->kind == PLAN_MOVE ||
                  (step->kind == PLAN_ADD && step->why != PLAN_WHY_NEW);
    }
    out->duration_ms = plan_duration_ms(c, copies, out->bytes);
    place_close(&p);
}

void plan_close(struct plan *p)
{
    mem_free(p->steps);
    mem_free(p->gaps);
    *p = (struct plan){0};
}

uint32_t plan_imbalance(const struct plan_cluster *c)
{
    struct place p;
    struct plan unused = {0};
    place_init(&p, c, &unused);
    uint32_t imbalance = place_imbalance(&p);
    place_close(&p);
    return imbalance;
}
