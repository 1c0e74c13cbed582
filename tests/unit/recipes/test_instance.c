/* The text of a service's instance, and the names around it. */
#include "recipes/instance.h"

#include <stdio.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

static struct arena arena;

static void setup(void)
{
    arena = (struct arena){0};
}

static void teardown(void)
{
    arena_close(&arena);
}

static const struct slice two_tags[] = {{(const uint8_t *)"blue", 4},
                                        {(const uint8_t *)"canary", 6}};

START_TEST(an_instance_is_readable_text)
{
    const struct instance_meta meta[] = {{slice_str("build"), slice_str("12")},
                                         {slice_str("empty"), slice_make(NULL, 0)},
                                         {slice_str("note"), slice_str("a=b, \xc3\xbc")}};
    const struct service_instance in = {
        .address = slice_str("10.0.0.7"),
        .port = 8080,
        .weight = 50,
        .zone = slice_str("a"),
        .tags = two_tags,
        .tag_count = 2,
        .meta = meta,
        .meta_count = 3,
        .draining = true,
    };
    static const char text[] =
        "address=10.0.0.7\nport=8080\nweight=50\nzone=a\ntag=blue\ntag=canary\nmeta.build=12\n"
        "meta.empty=\nmeta.note=a=b, \xc3\xbc\ndraining=yes\n";
    struct buf b = {0};
    struct service_instance again;
    ck_assert_int_eq(instance_validate(&in, NULL), RC_OK);
    instance_encode(&b, &in);
    ck_assert_msg(slice_is(buf_slice(&b), text), "%.*s", (int)b.size, (char *)b.data);
    ck_assert(instance_decode(buf_slice(&b), &again, &arena));
    ck_assert(again.draining && again.meta_count == 3 && again.tag_count == 2);
    ck_assert(slice_is(again.meta[2].value, "a=b, \xc3\xbc"));
    ck_assert(instance_has_tag(&again, slice_str("canary")));
    ck_assert(!instance_has_tag(&again, slice_str("can")));
    buf_close(&b);
}
END_TEST

static const char *const bad_texts[] = {
    "",
    "address=a\nport=1\n",                                /* no weight */
    "address=a\nport=1\nweight=1",                        /* no end of line */
    "address=a\nport=0\nweight=1\n",
    "address=a\nport=65536\nweight=1\n",
    "address=a\nport=01\nweight=1\n",
    "address=a\nport=1\nweight=10001\n",
    "address=\nport=1\nweight=1\n",
    "address=a b\nport=1\nweight=1\n",
    "port=1\naddress=a\nweight=1\n",                      /* another order */
    "address=a\nport=1\nweight=1\nzone=\n",
    "address=a\nport=1\nweight=1\ntag=b\ntag=a\n",        /* not in order */
    "address=a\nport=1\nweight=1\ntag=a\ntag=a\n",
    "address=a\nport=1\nweight=1\nmeta.a\n",              /* no value */
    "address=a\nport=1\nweight=1\nmeta.=x\n",
    "address=a\nport=1\nweight=1\nmeta.a=\t\n",
    "address=a\nport=1\nweight=1\nmeta.a=\xff\n",
    "address=a\nport=1\nweight=1\nhealth=passing\n",    /* is not said */
    "address=a\nport=1\nweight=1\nhealth=down\n",       /* since when? */
    "address=a\nport=1\nweight=1\nhealth=bad\nhealth_since_ms=1\n",
    "address=a\nport=1\nweight=1\ncheck=tcp\n",
    "address=a\nport=1\nweight=1\ncheck=tcp\ncheck_path=/a\ncheck_interval_ms=100\n"
    "check_timeout_ms=100\ncheck_slow_ms=100\n",
    "address=a\nport=1\nweight=1\ncheck=http\ncheck_interval_ms=100\n"
    "check_timeout_ms=100\ncheck_slow_ms=100\n",
    "address=a\nport=1\nweight=1\ncheck=tcp\ncheck_interval_ms=99\n"
    "check_timeout_ms=100\ncheck_slow_ms=100\n",
    "address=a\nport=1\nweight=1\ndraining=no\n",
    "address=a\nport=1\nweight=1\ndraining=yes\nx=y\n",
    "address=a\nport=1\nweight=1\n\n",
};

START_TEST(what_is_no_text_of_an_instance_is_refused)
{
    struct service_instance in;
    ck_assert(!instance_decode(slice_str(bad_texts[_i]), &in, &arena));
}
END_TEST

static struct slice draw_word(struct rng *rng)
{
    uint8_t *word = arena_alloc(&arena, INSTANCE_WORD_BYTES_MAX);
    size_t size = rng_range(rng, 1, rng_chance(rng, 100) ? INSTANCE_WORD_BYTES_MAX : 3);
    for (size_t i = 0; i < size; i++) {
        word[i] = (uint8_t) "abcXYZ019._-"[rng_below(rng, 12)];
    }
    return slice_make(word, size);
}

static struct service_instance draw(struct rng *rng)
{
    struct slice *tags = arena_alloc(&arena, INSTANCE_TAGS_MAX * sizeof *tags);
    struct instance_meta *meta = arena_alloc(&arena, INSTANCE_META_MAX * sizeof *meta);
    struct service_instance in = {
        .address = draw_word(rng),
        .port = (uint16_t)rng_below(rng, 65536),
        .weight = (uint32_t)rng_below(rng, INSTANCE_WEIGHT_MAX + 2),
        .zone = rng_chance(rng, 500) ? draw_word(rng) : slice_make(NULL, 0),
        .tags = tags,
        .tag_count = (uint32_t)rng_below(rng, 5),
        .meta = meta,
        .meta_count = (uint32_t)rng_below(rng, 5),
        .draining = rng_chance(rng, 500),
    };
    for (uint32_t i = 0; i < in.tag_count; i++) {
        tags[i] = draw_word(rng);
    }
    for (uint32_t i = 0; i < in.meta_count; i++) {
        meta[i] = (struct instance_meta){draw_word(rng), draw_word(rng)};
    }
    if (rng_chance(rng, 500)) {
        bool is_http = rng_chance(rng, 500);
        in.check = (struct instance_check){
            .type = is_http                ? CHECK_HTTP
                    : rng_chance(rng, 500) ? CHECK_TCP
                                           : CHECK_HEARTBEAT,
            .path = is_http ? slice_str("/health?x=%20") : slice_make(NULL, 0),
            .every_ms = (uint32_t)rng_range(rng, 99, 5000),
            .timeout_ms = (uint32_t)rng_range(rng, 100, 5000),
            .slow_ms = (uint32_t)rng_range(rng, 100, CHECK_EVERY_MS_MAX),
        };
    }
    in.health = (uint8_t)rng_range(rng, HEALTH_PASSING, HEALTH_DOWN);
    in.health_since_ms = in.health == HEALTH_PASSING ? 0 : rng_range(rng, 1, UINT64_MAX);
    instance_sort_tags(tags, in.tag_count);
    instance_sort_meta(meta, in.meta_count);
    return in;
}

/* One text for each content, and none for what the check refuses. */
START_TEST(texts_and_instances_are_one_to_one)
{
    struct rng rng;
    struct buf first = {0};
    struct buf second = {0};
    size_t good = 0;
    rng_init(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        struct service_instance in = draw(&rng);
        struct service_instance again;
        bool is_good = instance_validate(&in, NULL) == RC_OK;
        buf_clear(&first);
        buf_clear(&second);
        instance_encode(&first, &in);
        ck_assert(instance_decode(buf_slice(&first), &again, &arena) == is_good);
        if (is_good) {
            instance_encode(&second, &again);
            ck_assert(slice_equal(buf_slice(&first), buf_slice(&second)));
            good++;
        }
        if (first.size > 0 && rng_chance(&rng, 500)) { /* damaged: refused, or another content */
            first.data[rng_below(&rng, first.size)] = (uint8_t)rng_below(&rng, 256);
            buf_clear(&second);
            if (instance_decode(buf_slice(&first), &again, &arena)) {
                instance_encode(&second, &again);
                ck_assert(slice_equal(buf_slice(&first), buf_slice(&second)));
            }
        }
        arena_clear(&arena);
    }
    ck_assert_uint_gt(good, 5000);
    buf_close(&first);
    buf_close(&second);
}
END_TEST

START_TEST(a_refusal_names_the_field_the_value_and_the_limit)
{
    struct errmsg err;
    const struct slice twice[] = {slice_str("a"), slice_str("a")};
    struct service_instance in = {.address = slice_str("a"), .port = 1, .weight = 10001};
    ck_assert_int_eq(instance_validate(&in, &err), RC_INVALID);
    ck_assert_str_eq(err.text, "weight: 10001, at most 10000");
    in.weight = 1;
    in.tags = twice;
    in.tag_count = 2;
    ck_assert_int_eq(instance_validate(&in, &err), RC_INVALID);
    ck_assert_str_eq(err.text, "tags: \"a\" is there twice");
    ck_assert_int_eq(service_name_check(slice_str("Web"), &err), RC_INVALID);
    ck_assert_str_eq(err.text, "service: \"Web\" is no name: 1 to 63 of a-z, 0-9 and '-', which "
                               "may not begin or end it");
}
END_TEST

START_TEST(names_of_services_are_labels_and_ids_are_names_of_nodes)
{
    static const char *const names[] = {"web", "a", "a-b", "0"};
    static const char *const no_names[] = {"", "-a", "a-", "a.b", "A", "a/b", "a b"};
    static const char *const ids[] = {"web-1", "10.0.0.7:80", "A_b", "..."};
    static const char *const no_ids[] = {"", ".", "..", "a/b", "a b", "\xc3\xbc"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(service_name_check(slice_str(names[i]), NULL), RC_OK);
    }
    for (size_t i = 0; i < sizeof no_names / sizeof no_names[0]; i++) {
        ck_assert_int_eq(service_name_check(slice_str(no_names[i]), NULL), RC_INVALID);
    }
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        ck_assert_int_eq(instance_id_check(slice_str(ids[i]), NULL), RC_OK);
    }
    for (size_t i = 0; i < sizeof no_ids / sizeof no_ids[0]; i++) {
        ck_assert_int_eq(instance_id_check(slice_str(no_ids[i]), NULL), RC_INVALID);
    }
}
END_TEST

START_TEST(paths_are_split_as_they_were_made)
{
    char path[INSTANCE_PATH_BYTES_MAX];
    struct slice service;
    struct slice id;
    struct slice whole = instance_path(slice_str("web"), slice_str("10.0.0.7:80"), path);
    ck_assert(slice_is(whole, "/services/web/10.0.0.7:80"));
    ck_assert(instance_path_split(whole, &service, &id));
    ck_assert(slice_is(service, "web") && slice_is(id, "10.0.0.7:80"));
    static const char *const others[] = {"/services/web", "/services", "/services/web/a/b",
                                         "/service/web/a", "/services//a", "/services/Web/a"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ck_assert(!instance_path_split(slice_str(others[i]), &service, &id));
    }
}
END_TEST

static Suite *instance_suite(void)
{
    Suite *suite = suite_create("instance");
    TCase *tcase = tcase_create("instance");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_instance_is_readable_text);
    tcase_add_loop_test(tcase, what_is_no_text_of_an_instance_is_refused, 0,
                        (int)(sizeof bad_texts / sizeof bad_texts[0]));
    tcase_add_test(tcase, texts_and_instances_are_one_to_one);
    tcase_add_test(tcase, a_refusal_names_the_field_the_value_and_the_limit);
    tcase_add_test(tcase, names_of_services_are_labels_and_ids_are_names_of_nodes);
    tcase_add_test(tcase, paths_are_split_as_they_were_made);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){instance_suite, NULL});
}
