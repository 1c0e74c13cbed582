/* Subscriptions over streams that break: what is known stays right. */
#include "client/client.h"
#include "client/discovery.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"

static struct client_kit kit;
static struct coord_subscription *subscription;
static struct coord_service_event event;

static void setup(void)
{
    client_kit_open(&kit);
}

static void teardown(void)
{
    coord_subscription_close(subscription);
    subscription = NULL;
    client_kit_close(&kit);
}

static void begin(const struct scripted_step *script)
{
    client_kit_begin(&kit, &script, 1, 5000);
    ck_assert_msg(coord_subscribe(kit.client, "web", NULL, &subscription, &kit.error) ==
                      COORD_OK,
                  "%s", kit.error.message);
}

static void expect(enum coord_service_event_type type, const char *id)
{
    enum coord_code code = coord_subscription_next(subscription, 5000, &event, &kit.error);
    ck_assert_msg(code == COORD_OK, "%s: %s", coord_code_text(code), kit.error.message);
    ck_assert_int_eq(event.type, type);
    if (id != NULL) {
        ck_assert_str_eq(event.instance->id, id);
    }
}

#define LIST(r, from, n, m)                                                           \
    {                                                                                 \
        .revision = (r), .first_sub = (from), .count = (n), .more = (m), .outcome = 1 \
    }
#define UPDATES(r, from, n)                                \
    {                                                      \
        .revision = (r), .first_sub = (from), .count = (n) \
    }
START_TEST(what_a_full_list_does_not_name_is_removed_at_its_end)
{
    begin(SCRIPT(SENDS(SERVE, LIST(8, 0, 3, false), LIST(20, 1, 2, true), UPDATES(20, 3, 1))));
    expect(COORD_SERVICE_PUT, "i0");
    expect(COORD_SERVICE_PUT, "i1");
    expect(COORD_SERVICE_PUT, "i2");
    expect(COORD_SERVICE_SYNCED, NULL);
    expect(COORD_SERVICE_PUT, "i3");
    expect(COORD_SERVICE_REMOVED, "i0");
    expect(COORD_SERVICE_SYNCED, NULL);
    ck_assert_uint_eq(coord_subscription_count(subscription), 3);
}
END_TEST

/* The stream that is resumed goes on where the list began, on a node that has not compacted. */
START_TEST(a_full_list_that_breaks_removes_nothing)
{
    begin(SCRIPT(SENDS(SERVE_AND_END, LIST(8, 0, 3, false)),
                 SENDS(SERVE_AND_END, LIST(20, 0, 1, true)),
                 SENDS(SERVE, UPDATES(9, 0, 0), UPDATES(10, 3, 1))));
    expect(COORD_SERVICE_PUT, "i0");
    expect(COORD_SERVICE_PUT, "i1");
    expect(COORD_SERVICE_PUT, "i2");
    expect(COORD_SERVICE_SYNCED, NULL);
    expect(COORD_SERVICE_PUT, "i3");
    expect(COORD_SERVICE_SYNCED, NULL);
    ck_assert_uint_eq(event.revision, 10);
    ck_assert_uint_eq(coord_subscription_count(subscription), 4);
    ck_assert_uint_eq(kit.cluster.watches[2].from_revision, 9);
}
END_TEST

static Suite *subscription_suite(void)
{
    Suite *s = suite_create("subscription");
    TCase *t = tcase_create("subscriptions");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_a_full_list_does_not_name_is_removed_at_its_end);
    tcase_add_test(t, a_full_list_that_breaks_removes_nothing);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){subscription_suite, NULL});
}
