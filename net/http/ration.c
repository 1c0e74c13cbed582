#include "net/http/ration.h"

void ration_init(struct ration *r)
{
    *r = (struct ration){0};
    list_init(&r->line);
}

void ration_place_init(struct ration_place *p, const struct front_sink *sink)
{
    *p = (struct ration_place){.sink = sink};
    list_init(&p->link);
}

static bool has_time(struct ration *r, uint64_t now_us)
{
    if (now_us - r->began_us >= RATION_MS * 1000) {
        r->began_us = now_us;
        r->spent_us = 0;
    }
    return r->spent_us < RATION_SPENT_US;
}

bool ration_admits(struct ration *r, struct ration_place *p, uint64_t now_us)
{
    if (p->is_called) {
        return true;
    }
    if (!ration_is_in_line(p)) {
        if (list_empty(&r->line) && has_time(r, now_us)) {
            return true;
        }
        list_push_back(&r->line, &p->link);
    }
    p->sink->pause(p->sink->conn, true);
    return false;
}

void ration_spend(struct ration *r, uint64_t spent_us)
{
    r->spent_us += spent_us;
}

/* Who is the first afterwards is woken, so that it says when it wants to be ticked. */
static void call_next(struct ration *r, uint64_t now_us)
{
    while (!list_empty(&r->line) && r->called < RATION_CALLED_MAX && has_time(r, now_us)) {
        struct ration_place *p = LIST_OF(r->line.next, struct ration_place, link);
        list_remove(&p->link);
        p->is_called = true;
        r->called++;
        p->sink->pause(p->sink->conn, false);
    }
    if (!list_empty(&r->line)) {
        const struct front_sink *sink = LIST_OF(r->line.next, struct ration_place, link)->sink;
        sink->wake(sink->conn);
    }
}

void ration_done(struct ration *r, struct ration_place *p, uint64_t now_us)
{
    bool mattered = p->is_called || r->line.next == &p->link;
    r->called -= p->is_called;
    p->is_called = false;
    list_remove(&p->link);
    if (mattered) {
        call_next(r, now_us);
    }
}

uint64_t ration_deadline_ms(const struct ration *r, const struct ration_place *p)
{
    return r->line.next == &p->link ? r->began_us / 1000 + RATION_MS + 1 : UINT64_MAX;
}

void ration_tick(struct ration *r, uint64_t now_us)
{
    call_next(r, now_us);
}
