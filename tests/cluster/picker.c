/* Picks instances of a service: picker ENDPOINTS SERVICE POLICY. For each line of standard input,
 * which is a key, it prints the id that was picked, or "-" if there is none. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/discovery.h"

static int fail(const struct coord_error *error)
{
    fprintf(stderr, "picker: %s\n", error->message);
    return 1;
}

static enum coord_pick_policy policy_of(const char *name)
{
    return strcmp(name, "turn") == 0     ? COORD_PICK_ROUND_ROBIN
           : strcmp(name, "load") == 0   ? COORD_PICK_LEAST_LOADED
           : strcmp(name, "fast") == 0   ? COORD_PICK_RESPONSE_TIME
                                         : COORD_PICK_HASH;
}

int main(int argc, char **argv)
{
    struct coord_options options = {.timeout_ms = 30000};
    const struct coord_subscription_options wanted = {.report_ms = 100};
    struct coord_client *client;
    struct coord_subscription *subscription;
    struct coord_picker *picker;
    struct coord_error error;
    char line[256];
    if (argc != 4) {
        fprintf(stderr, "usage: picker ENDPOINTS SERVICE turn|load|fast|hash\n");
        return 2;
    }
    options.endpoints = argv[1];
    if (coord_open(&options, &client, &error) != COORD_OK ||
        coord_subscribe(client, argv[2], &wanted, &subscription, &error) != COORD_OK ||
        coord_picker_open(subscription, policy_of(argv[3]), &picker, &error) != COORD_OK) {
        return fail(&error);
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        const struct coord_instance *in = coord_picker_pick(picker, line, strlen(line));
        printf("%s\n", in != NULL ? in->id : "-");
        (void)fflush(stdout);
        if (in != NULL) {
            coord_picker_done(picker, in->id, 1, false);
        }
    }
    coord_picker_close(picker);
    coord_subscription_close(subscription);
    coord_close(client);
    return 0;
}
