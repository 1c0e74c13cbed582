/* The registry: families sorted by name, each with its series in order of registration.
 *
 * Registration searches linearly; it happens at start and is not worth an index. The handles are
 * pointers to series that never move.
 */
#include "base/metrics.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_TIME, METRIC_HISTOGRAM };

struct metric {
    int64_t value;
};

/* Upper bounds; `seconds` is the same value as Prometheus wants to see it. */
static const struct {
    uint64_t us;
    const char *seconds;
} buckets[] = {
    {50, "5e-05"},      {100, "0.0001"},   {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"},
    {2500, "0.0025"},   {5000, "0.005"},   {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},
    {100000, "0.1"},    {250000, "0.25"},  {500000, "0.5"},  {1000000, "1"},  {2500000, "2.5"},
    {5000000, "5"},     {10000000, "10"},
};
#define HISTOGRAM_BUCKETS (sizeof buckets / sizeof buckets[0])

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS + 1]; /* not cumulative; the last one is beyond all bounds */
    uint64_t sum_us;
};

struct series {
    struct series *next;
    char *labels; /* never NULL */
    size_t label_bytes;
    union {
        struct metric metric;
        struct histogram histogram;
    } of;
};

struct family {
    struct family *next;
    enum metric_kind kind;
    char *name;
    size_t name_bytes;
    char *help;
    struct series *series;
};

struct metrics {
    struct family *families;
};

struct metrics *metrics_new(void)
{
    return mem_zalloc(sizeof(struct metrics));
}

static void series_free(struct series *s)
{
    mem_free(s->labels);
    mem_free(s);
}

static void family_free(struct family *f)
{
    while (f->series != NULL) {
        struct series *s = f->series;
        f->series = s->next;
        series_free(s);
    }
    mem_free(f->name);
    mem_free(f->help);
    mem_free(f);
}

void metrics_free(struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    while (m->families != NULL) {
        struct family *f = m->families;
        m->families = f->next;
        family_free(f);
    }
    mem_free(m);
}

static struct family *metrics_family(struct metrics *m, enum metric_kind kind, const char *name,
                                     const char *help)
{
    struct family **at = &m->families;
    while (*at != NULL && strcmp((*at)->name, name) < 0) {
        at = &(*at)->next;
    }
    if (*at != NULL && strcmp((*at)->name, name) == 0) {
        PRE((*at)->kind == kind);
        return *at;
    }
    struct family *f = mem_zalloc(sizeof *f);
    f->kind = kind;
    f->name = mem_strdup(name);
    f->name_bytes = strlen(name);
    f->help = mem_strdup(help);
    f->next = *at;
    *at = f;
    return f;
}

static struct series *metrics_series(struct metrics *m, enum metric_kind kind, const char *name,
                                     const char *labels, const char *help)
{
    struct family *f = metrics_family(m, kind, name, help);
    const char *wanted = labels == NULL ? "" : labels;
    struct series **at = &f->series;
    while (*at != NULL) {
        if (strcmp((*at)->labels, wanted) == 0) {
            return *at;
        }
        at = &(*at)->next;
    }
    struct series *s = mem_zalloc(sizeof *s);
    s->labels = mem_strdup(wanted);
    s->label_bytes = strlen(wanted);
    *at = s;
    return s;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *labels,
                               const char *help)
{
    return &metrics_series(m, METRIC_COUNTER, name, labels, help)->of.metric;
}

struct metric *metrics_gauge(struct metrics *m, const char *name, const char *labels,
                             const char *help)
{
    return &metrics_series(m, METRIC_GAUGE, name, labels, help)->of.metric;
}

struct metric *metrics_time(struct metrics *m, const char *name, const char *labels,
                            const char *help)
{
    return &metrics_series(m, METRIC_TIME, name, labels, help)->of.metric;
}

struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *labels,
                                    const char *help)
{
    return &metrics_series(m, METRIC_HISTOGRAM, name, labels, help)->of.histogram;
}

void metrics_remove(struct metrics *m, const char *name, const char *labels)
{
    struct family **f = &m->families;
    while (*f != NULL && strcmp((*f)->name, name) != 0) {
        f = &(*f)->next;
    }
    struct series **s = *f != NULL ? &(*f)->series : NULL;
    while (s != NULL && *s != NULL && strcmp((*s)->labels, labels) != 0) {
        s = &(*s)->next;
    }
    if (s == NULL || *s == NULL) {
        return;
    }
    struct series *gone = *s;
    *s = gone->next;
    series_free(gone);
    if ((*f)->series == NULL) {
        struct family *empty = *f;
        *f = empty->next;
        family_free(empty);
    }
}

void metric_add(struct metric *metric, int64_t delta)
{
    if (metric != NULL) {
        metric->value += delta;
    }
}

void metric_set(struct metric *metric, int64_t value)
{
    if (metric != NULL) {
        metric->value = value;
    }
}

int64_t metric_value(const struct metric *metric)
{
    return metric == NULL ? 0 : metric->value;
}

void histogram_observe_us(struct histogram *h, uint64_t microseconds)
{
    if (h == NULL) {
        return;
    }
    size_t i = 0;
    while (i < HISTOGRAM_BUCKETS && microseconds > buckets[i].us) {
        i++;
    }
    h->counts[i]++;
    h->sum_us += microseconds;
}

static void metrics_print_help(const struct family *f, struct buf *out)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_TIME] = "counter",
        [METRIC_HISTOGRAM] = "histogram",
    };
    buf_printf(out, "# HELP %s ", f->name);
    for (const char *p = f->help; *p != '\0'; p++) {
        if (*p == '\\' || *p == '\n') {
            buf_append_str(out, *p == '\n' ? "\\n" : "\\\\");
        } else {
            buf_append(out, p, 1);
        }
    }
    buf_printf(out, "\n# TYPE %s %s\n", f->name, types[f->kind]);
}

/* A page has thousands of numbers, and is made on the loop: printf would take most of its time. */
static void put_u64(struct buf *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_append(out, digits + at, sizeof digits - at);
}

static void put_i64(struct buf *out, int64_t value)
{
    if (value < 0) {
        buf_append(out, "-", 1);
    }
    put_u64(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* Of literals. */
#define PUT(out, text) buf_append((out), (text), sizeof(text) - 1)

static void put_name(struct buf *out, const struct family *f)
{
    buf_append(out, f->name, f->name_bytes);
}

static void put_labels(struct buf *out, const struct series *s)
{
    if (s->label_bytes > 0) {
        PUT(out, "{");
        buf_append(out, s->labels, s->label_bytes);
        PUT(out, "}");
    }
    PUT(out, " ");
}

static void metrics_print_value(const struct family *f, const struct series *s, struct buf *out)
{
    int64_t value = s->of.metric.value;
    put_name(out, f);
    put_labels(out, s);
    if (f->kind == METRIC_TIME) {
        buf_printf(out, "%" PRId64 ".%06" PRId64 "\n", value / 1000000, value % 1000000);
    } else {
        put_i64(out, value);
        PUT(out, "\n");
    }
}

/* Up to its bound. */
static void put_bucket(struct buf *out, const struct family *f, const struct series *s)
{
    put_name(out, f);
    PUT(out, "_bucket{");
    if (s->label_bytes > 0) {
        buf_append(out, s->labels, s->label_bytes);
        PUT(out, ",");
    }
    PUT(out, "le=\"");
}

static void metrics_print_histogram(const struct family *f, const struct series *s,
                                    struct buf *out)
{
    const struct histogram *h = &s->of.histogram;
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        const char *bound = i < HISTOGRAM_BUCKETS ? buckets[i].seconds : "+Inf";
        count += h->counts[i];
        put_bucket(out, f, s);
        buf_append(out, bound, strlen(bound));
        PUT(out, "\"} ");
        put_u64(out, count);
        PUT(out, "\n");
    }
    put_name(out, f);
    PUT(out, "_sum");
    put_labels(out, s);
    buf_printf(out, "%" PRIu64 ".%06" PRIu64 "\n", h->sum_us / 1000000, h->sum_us % 1000000);
    put_name(out, f);
    PUT(out, "_count");
    put_labels(out, s);
    put_u64(out, count);
    PUT(out, "\n");
}

void metrics_print(const struct metrics *m, struct buf *out)
{
    for (const struct family *f = m->families; f != NULL; f = f->next) {
        metrics_print_help(f, out);
        for (const struct series *s = f->series; s != NULL; s = s->next) {
            if (f->kind == METRIC_HISTOGRAM) {
                metrics_print_histogram(f, s, out);
            } else {
                metrics_print_value(f, s, out);
            }
        }
    }
}
