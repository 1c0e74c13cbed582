#include "cmd/coordd/disk_space.h"

#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"

#define ASK_EVERY_MS 10000

/* Freed when both are: the timer closed, no question under way. */
struct disk_space {
    uv_timer_t timer;
    uv_fs_t question;
    bool is_asking;
    bool is_closed;
    bool is_freed;
    const char *path;
    struct metric *free_bytes;
    struct metric *total_bytes;
};

static void free_if_done(struct disk_space *s)
{
    if (s->is_freed && s->is_closed && !s->is_asking) {
        mem_free(s);
    }
}

static void answered(uv_fs_t *question)
{
    struct disk_space *s = question->data;
    if (question->result == 0 && !s->is_freed) {
        const uv_statfs_t *fs = question->ptr;
        metric_set(s->free_bytes, (int64_t)(fs->f_bavail * fs->f_bsize));
        metric_set(s->total_bytes, (int64_t)(fs->f_blocks * fs->f_bsize));
    }
    uv_fs_req_cleanup(question);
    s->is_asking = false;
    free_if_done(s);
}

static void ask(uv_timer_t *timer)
{
    struct disk_space *s = timer->data;
    if (!s->is_asking && uv_fs_statfs(timer->loop, &s->question, s->path, answered) == 0) {
        s->is_asking = true;
    }
}

static void closed(uv_handle_t *timer)
{
    struct disk_space *s = timer->data;
    s->is_closed = true;
    free_if_done(s);
}

struct disk_space *disk_space_new(struct uv_loop_s *loop, const char *path,
                                  struct metrics *metrics)
{
    struct disk_space *s = mem_zalloc(sizeof *s);
    s->path = path;
    s->free_bytes = metrics_gauge(metrics, "coord_disk_free_bytes", NULL,
                                  "Space left on the disk of the data dir.");
    s->total_bytes =
        metrics_gauge(metrics, "coord_disk_bytes", NULL, "Size of the disk of the data dir.");
    s->timer.data = s;
    s->question.data = s;
    int rc = uv_timer_init(loop, &s->timer);
    rc = rc == 0 ? uv_timer_start(&s->timer, ask, 0, ASK_EVERY_MS) : rc;
    POST(rc == 0);
    uv_unref((uv_handle_t *)&s->timer);
    return s;
}

void disk_space_free(struct disk_space *s)
{
    s->is_freed = true;
    uv_close((uv_handle_t *)&s->timer, closed);
}
